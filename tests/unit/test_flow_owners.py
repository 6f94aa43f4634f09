"""Whose the ends of a flow are, in documents: the compiled way and the mapping agree, for both kinds of sink."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from shipper.errors import BadInputError
from shipper.model import AddressFacts, Instance, InterfaceOwner, LogEvent, LogStream, Origin, Record
from shipper.schemas.ecs.flow_owners import write
from shipper.schemas.ecs.vpc_flow import VpcFlowEcs
from shipper.schemas.ecs.vpc_flow_mapping import Context, LineMapping
from shipper.schemas.ecs.vpc_flow_values import Endpoints, Times
from shipper.schemas.flow_owners import FlowOwners
from shipper.schemas.splunk.vpc_flow import VpcFlowSplunk
from tests.fakes.interfaces import ACCOUNT, NOW, PLACE, REGION, InterfaceBench, interface, launched, learn

V2 = (
    *("version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol"),
    *("packets", "bytes", "start", "end", "action", "log-status"),
)
ORIGIN = Origin("s3://b/k", "b", "k", ACCOUNT, REGION)
WEB = {
    "interface": {"id": "eni-web"},
    "instance": {"id": "i-web", "name": "web-1"},
    "service": "ec2",
    "account": {"id": ACCOUNT},
    "vpc": {"id": "vpc-1"},
    "subnet": {"id": "subnet-1"},
    "security_group": {"id": ["sg-1", "sg-2"]},
    "tags": {"team": "web"},
}
NAT = {
    "interface": {"id": "eni-nat", "name": "out"},
    "service": "nat_gateway",
    "resource": "nat-0ab",
    "account": {"id": ACCOUNT},
    "vpc": {"id": "vpc-1"},
}


def line(
    source: str, destination: str, start: float = NOW, name: str = "eni-web", layout: Any = V2, **more: str
) -> bytes:
    values = {"version": "2", "account-id": ACCOUNT, "interface-id": name, "srcaddr": source, "dstaddr": destination}
    values |= {"srcport": "4711", "dstport": "443", "protocol": "6", "packets": "3", "bytes": "180"}
    values |= {"start": str(int(start)), "end": str(int(start) + 60), "action": "ACCEPT", "log-status": "OK"}
    values |= {key.replace("_", "-"): value for key, value in more.items()}
    return " ".join(values.get(name, "-") for name in layout).encode()


@pytest.fixture
def bench():
    made = InterfaceBench()
    web = interface(
        "eni-web", service="ec2", since=NOW - 900, instance="i-web", subnet="subnet-1", groups=("sg-1", "sg-2")
    )
    nat = interface("eni-nat", private=("10.0.0.9",), service="nat_gateway", resource="nat-0ab", name="out")
    made.ec2.of_places[PLACE] = [web, nat]
    made.ec2.machines[PLACE] = [Instance("i-web", 0.0, "web-1", {"team": "web"})]
    yield made
    made.ec2.gate.set()
    made.stop.request()


@pytest.fixture
def found(bench):
    inventory = bench.interfaces()
    bench.listed(inventory)
    bench.ec2.gate.clear()  # what is asked again during a test stays as it is
    return inventory


def both(found: Any, raw: bytes, layout: tuple[str, ...] = V2, addresses: Any = None) -> dict[str, Any]:
    """The document, which is the same from the compiled encoder and from the mapping."""
    encode = VpcFlowEcs("default", None, addresses=addresses, interfaces=found).encoder(ORIGIN)
    made = encode(Record(raw, 1, layout))
    assert made is not None
    document: dict[str, Any] = json.loads(made.body)
    context = Context(account=ACCOUNT, region=REGION)
    _, mapped = LineMapping(Endpoints(None, addresses), Times(), FlowOwners(found, write)).document(
        layout, raw.decode(), context, 0
    )
    for name in ("cloud", "source", "destination", "network", "related"):
        assert document.get(name) == mapped.get(name), name
    assert {key: value for key, value in document["aws"].items() if key != "s3"} == mapped["aws"]
    return document


def test_both_sides_are_named(found):
    """The interface's machine is cloud.instance; each side has its owner; the direction is the interface's."""
    document = both(found, line("10.0.0.5", "10.0.0.9"))
    assert document["cloud"]["instance"] == {"id": "i-web", "name": "web-1"}
    assert document["aws"]["source"] == WEB
    assert document["aws"]["destination"] == NAT
    assert document["network"]["direction"] == "egress"
    assert document["related"] == {"ip": ["10.0.0.5", "10.0.0.9"], "hosts": ["i-web", "web-1"]}
    back = both(found, line("10.0.0.9", "10.0.0.5"))
    assert (back["aws"]["source"], back["aws"]["destination"]) == (NAT, WEB)
    assert back["network"]["direction"] == "ingress"


def test_the_gateways_own_records(found):
    """A NAT gateway's interface has no machine; strangers stay without owner."""
    document = both(found, line("10.0.0.5", "203.0.113.9", name="eni-nat"))
    assert "instance" not in document["cloud"]
    assert set(document["aws"]) == {"s3", "source", "vpcflow"}
    assert "direction" not in document["network"]
    strange = both(found, line("192.0.2.1", "203.0.113.9", name="eni-unknown"))
    assert set(strange["aws"]) == {"s3", "vpcflow"}
    assert strange["related"] == {"ip": ["192.0.2.1", "203.0.113.9"]}


def test_what_the_line_says_counts_for_more(found):
    """Its own direction, instance and VPC; a name only where it is that instance's."""
    layout = (*V2, "vpc-id", "instance-id", "flow-direction")
    said: dict[str, Any] = {"vpc_id": "vpc-2", "instance_id": "i-other", "flow_direction": "ingress"}
    document = both(found, line("10.0.0.5", "10.0.0.9", layout=layout, **said), layout)
    assert document["cloud"]["instance"] == {"id": "i-other"}
    assert document["network"]["direction"] == "ingress"
    assert set(document["aws"]) == {"s3", "vpcflow"}
    named = both(found, line("10.0.0.5", "10.0.0.9", layout=layout, instance_id="i-web", vpc_id="vpc-1"), layout)
    assert named["cloud"]["instance"] == {"id": "i-web", "name": "web-1"}
    assert named["network"]["direction"] == "-"
    assert named["aws"]["source"] == WEB


def perimeter(address: str) -> AddressFacts:
    return AddressFacts(None, address.startswith("10."))


def test_the_perimeters_direction_counts_for_more(found):
    """Where it is known what is inside, the direction is the perimeter's, once, for both kinds of sink."""
    assert both(found, line("10.0.0.5", "10.0.0.9"), addresses=perimeter)["network"]["direction"] == "internal"
    document = both(found, line("10.0.0.5", "203.0.113.9"), addresses=perimeter)
    assert (document["network"]["direction"], document["aws"]["source"]) == ("outbound", WEB)
    schema = VpcFlowSplunk("", "", None, addresses=perimeter, interfaces=found)
    made = schema.encoder(ORIGIN)(Record(line("10.0.0.5", "10.0.0.9"), 1, V2))
    assert made is not None
    assert made.body.count(b'"network_direction"') == 1


def test_lines_without_traffic_name_the_machine(found):
    """NODATA has no ends, but an interface."""
    nothing: dict[str, Any] = dict.fromkeys(("srcport", "dstport", "protocol", "packets", "bytes", "action"), "-")
    document = both(found, line("-", "-", log_status="NODATA", **nothing))
    assert document["cloud"]["instance"] == {"id": "i-web", "name": "web-1"}
    assert set(document["aws"]) == {"s3", "vpcflow"}


def test_transit_gateways_name_the_networks_of_both_ends(found):
    """Each address is one of its own VPC."""
    layout = (*V2, "tgw-id", "tgw-src-vpc-id", "tgw-dst-vpc-id")
    said: dict[str, Any] = {"tgw_id": "tgw-1", "tgw_src_vpc_id": "vpc-1", "tgw_dst_vpc_id": "vpc-2"}
    document = both(found, line("10.0.0.5", "10.0.0.5", name="-", layout=layout, **said), layout)
    assert document["aws"]["source"] == WEB
    assert "destination" not in document["aws"]


def test_each_record_has_the_owner_of_its_time(bench, found):
    """One encoder, one address, three owners over time; what changes meanwhile shows at once."""
    encode = VpcFlowEcs("default", None, interfaces=found).encoder(ORIGIN)

    def instance(start: float, name: str = "eni-web") -> Any:
        made = encode(Record(line("10.0.0.5", "203.0.113.9", start, name), 1, V2))
        assert made is not None
        document = json.loads(made.body)
        side = document["aws"].get("source", {}).get("instance", {}).get("id")
        return document["cloud"].get("instance", {}).get("id"), side

    assert instance(NOW) == ("i-web", "i-web")
    assert instance(NOW + 900) == ("i-web", "i-web")
    learn(found, "TerminateInstances", NOW + 100, {"instancesSet": {"items": [{"instanceId": "i-web"}]}})
    learn(found, "RunInstances", NOW + 800, None, launched("i-new", "eni-new", "10.0.0.5"))
    assert instance(NOW) == ("i-web", "i-web")
    assert instance(NOW + 750) == ("i-web", None)
    assert instance(NOW + 900, "eni-new") == ("i-new", "i-new")
    assert instance(NOW + 900) == ("i-web", "i-new")  # the last known owner of the interface; the address has another
    assert instance(NOW) == ("i-web", "i-web")


class Overtaken:
    """An inventory that is renewed, and asked by another thread, while the first question is being answered."""

    def __init__(self) -> None:
        self.version = 0
        self.meanwhile: Callable[[], object] | None = None

    def want(self, account: str, region: str) -> None:
        """Nothing is listed."""

    def learn(self, *_: Any) -> None:
        """Nothing passes by."""

    def close(self) -> None:
        """Nothing is kept."""

    def interface(self, name: str, at: float) -> InterfaceOwner:
        answer = self._answer(name)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            self.version += 1
            meanwhile()
        return answer

    def address(self, address: str, network: str | None, at: float) -> InterfaceOwner:
        return self._answer("eni-web" if address == "10.0.0.5" else "eni-other")

    def _answer(self, name: str) -> InterfaceOwner:
        if self.version == 0 or name != "eni-web":
            return InterfaceOwner(None, None, -math.inf, math.inf)
        return InterfaceOwner(interface("eni-web", instance="i-web"), None, -math.inf, math.inf)


def test_an_answer_that_was_overtaken_is_not_kept():
    """A thread that asked before the news, and writes its answer down after another has heard them, keeps nothing."""
    overtaken = Overtaken()
    encode = VpcFlowEcs("default", None, interfaces=overtaken).encoder(ORIGIN)

    def machine(raw: bytes) -> str | None:
        made = encode(Record(raw, 1, V2))
        assert made is not None
        found: str | None = json.loads(made.body)["cloud"].get("instance", {}).get("id")
        return found

    overtaken.meanwhile = lambda: machine(line("10.0.0.9", "203.0.113.9", name="eni-other"))
    assert machine(line("10.0.0.5", "203.0.113.9")) is None
    assert machine(line("10.0.0.5", "203.0.113.9")) == "i-web"


def test_events_of_log_groups_ask_for_their_own_place(bench):
    """The group's account and region are listed, without a look at the line."""
    inventory = bench.interfaces()
    stream = LogStream("444455556666", "us-east-1", "flow", "eni-web-all")
    for schema in (
        VpcFlowEcs("default", None, interfaces=inventory),
        VpcFlowSplunk("", "", None, interfaces=inventory),
    ):
        record = Record(line("10.0.0.5", "10.0.0.9"), 1, V2, LogEvent("1", int(NOW * 1000), stream))
        assert schema.encoder(Origin("cw"))(record) is not None
    bench.listed(inventory)
    assert {("444455556666", "us-east-1", "interfaces"), (ACCOUNT, "us-east-1", "instances")} <= set(bench.ec2.asked)


def splunk(found: Any, raw: bytes, layout: tuple[str, ...] = V2) -> dict[str, Any]:
    made = VpcFlowSplunk("", "", None, interfaces=found).encoder(ORIGIN)(Record(raw, 1, layout))
    assert made is not None
    fields: dict[str, Any] = json.loads(made.body)["fields"]
    fields.pop("event_uid")
    return fields


def test_splunk_gets_flat_fields(found):
    """The same, under documented names."""
    web = {
        "src_interface": "eni-web",
        "src_instance_id": "i-web",
        "src_instance_name": "web-1",
        "src_service": "ec2",
        "src_account": ACCOUNT,
        "src_vpc": "vpc-1",
        "src_subnet": "subnet-1",
        "src_security_group": ["sg-1", "sg-2"],
        "src_tag_team": "web",
    }
    nat = {
        "dest_interface": "eni-nat",
        "dest_interface_name": "out",
        "dest_service": "nat_gateway",
        "dest_resource": "nat-0ab",
        "dest_account": ACCOUNT,
        "dest_vpc": "vpc-1",
    }
    assert splunk(found, line("10.0.0.5", "10.0.0.9")) == web | nat | {"network_direction": "egress"}
    assert splunk(found, line("192.0.2.9", "10.0.0.9", name="eni-nat")) == nat | {"network_direction": "ingress"}
    assert splunk(found, line("-", "-")) == {}
    layout = (*V2, "vpc-id", "flow-direction")
    assert splunk(found, line("192.0.2.9", "10.0.0.9", layout=layout, vpc_id="vpc-1"), layout) == nat
    with pytest.raises(BadInputError):
        splunk(found, b"short line")


def test_without_the_lookup_nothing_is_added(found):
    """Turned off, documents are what they were."""
    raw = line("10.0.0.5", "10.0.0.9")
    plain = VpcFlowEcs("default", None).encoder(ORIGIN)(Record(raw, 1, V2))
    assert plain is not None
    document = json.loads(plain.body)
    assert set(document["aws"]) == {"s3", "vpcflow"}
    assert "instance" not in document["cloud"]
    assert document["related"] == {"ip": ["10.0.0.5", "10.0.0.9"]}
    assert splunk(None, raw) == {}
