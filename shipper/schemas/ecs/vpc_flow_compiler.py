"""Compiles the mapping of one layout's ordinary lines to a function that writes the ECS document as text.

`vpc_flow_mapping` defines the document; this is the same for lines that are as nearly all are: printable ASCII, the
traffic's fields known and in range. Any other line is left to the mapping (the function returns None, or raises
ValueError for a wrong number of fields). Tests compare both.

The source text is made of this module's own templates. Of a header, which anybody may have written, only names that
`own_fields` found clean (`[a-z][a-z0-9-]*`) go in, and only inside a string.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from shipper.schemas.community_id import community_id
from shipper.schemas.ecs.vpc_flow_mapping import LOST, own_fields
from shipper.schemas.ecs.vpc_flow_values import ACTIONS, PROTOCOLS, TCP_FLAGS, Endpoints, Times, iso_time, whole_number

Compiled = Callable[[bytes, int, str, str, str, str], "tuple[int, str] | None"]
"""(line, fallback_ms, top, aws, account, region) → time and document; None for a line out of the ordinary.

`top` and `aws` are JSON members each with a comma behind it; `account` and `region` are values, already escaped.
"""

_ORDINARY: Final = bytes(code for code in range(0x20, 0x7F) if code not in b'"\\')
_NUMBERS = ("srcport", "dstport", "packets", "bytes")


def compile_layout(layout: Sequence[str], endpoints: Endpoints, times: Times) -> Compiled:
    """Return the function for one layout; costs about a millisecond."""
    source = _Writer(layout).source()
    names: dict[str, Any] = {
        "ORDINARY": _ORDINARY,
        "ACTIONS": ACTIONS,
        "PROTOCOLS": PROTOCOLS,
        "TCP_FLAGS": TCP_FLAGS,
        "community_id": community_id,
        "iso_time": iso_time,
        "whole_number": whole_number,
        "known_endpoint": endpoints.get,
        "find_endpoint": endpoints.find,
        "known_time": times.get,
        "find_time": times.find,
    }
    exec(compile(source, "<flow log encoder>", "exec"), names)  # noqa: S102 - our own templates, see above
    compiled: Compiled = names["encode"]
    return compiled


class _Writer:
    """Writes the function's source: statements first, then one f-string that names their results."""

    def __init__(self, layout: Sequence[str]) -> None:
        self._layout = layout
        self._columns: dict[str, str] = {}
        for index, name in enumerate(layout):
            self._columns.setdefault(name, f"v{index}")
        self._body: list[str] = []
        self._temporaries = 0

    def source(self) -> str:
        """The whole module: one function `encode`."""
        targets = ", ".join(f"v{index}" for index in range(len(self._layout)))
        self._body += [
            "if line.translate(None, ORDINARY): return None",
            "text = line.decode()",
            f"{targets}, = text.split(' ')",
        ]
        self._numbers()
        traffic = self._source() + self._destination() + self._network() + self._related()
        parts = self._time() + self._cloud() + self._event() + traffic + self._orchestration() + self._aws()
        lines = [*self._body, f"return time_ms, f'''{{{{{parts}}}}}'''"]
        return "def encode(line, fallback_ms, top, aws, account, region):\n" + "".join(f"    {x}\n" for x in lines)

    def _has(self, *names: str) -> bool:
        return all(name in self._columns for name in names)

    def _unless(self, condition: str) -> None:
        self._body.append(f"if {condition}: return None")

    def _let(self, expression: str) -> str:
        self._temporaries += 1
        self._body.append(f"t{self._temporaries} = {expression}")
        return f"t{self._temporaries}"

    def _member(self, name: str, to: str) -> str:
        """A temporary with `,"to":"value"`, empty where the line has `-`."""
        value = self._columns[name]
        return self._let(f"""'' if {value} == '-' else ',"{to}":"' + {value} + '"'""")

    def _object(self, name: str, members: list[str]) -> str:
        """A temporary with `,"name":{members}`, empty where all members are."""
        joined = self._let(" + ".join(members))
        return self._let(f"""',"{name}":{{' + {joined}[1:] + '}}' if {joined} else ''""")

    def _numbers(self) -> None:
        columns = [self._columns[name] for name in _NUMBERS if self._has(name)]
        if columns:
            self._unless(f"not ({' + '.join(columns)}).isdigit()")
            # A number must not be empty, nor begin with a zero, nor exceed a long: JSON and Elasticsearch refuse it.
            odd = " or ".join(f"not {v} or len({v}) > 18 or ({v}[0] == '0' and {v} != '0')" for v in columns)
            self._unless(odd)
        for name, port in (("srcport", "source_port"), ("dstport", "destination_port")):
            if self._has(name):
                self._body.append(f"{port} = int({self._columns[name]})")
                self._unless(f"{port} > 65535")

    def _time(self) -> str:
        for name in ("start", "end"):
            if self._has(name):
                value = self._columns[name]
                self._body.append(f"{name} = known_time({value}) or find_time({value})")
                self._unless(f"{name} is None")
        known = next((name for name in ("end", "start") if self._has(name)), "(fallback_ms, iso_time(fallback_ms))")
        self._body.append(f"time_ms, stamp = {known}")
        return '"@timestamp":"{stamp}",{top}'

    def _cloud(self) -> str:
        members = '"provider":"aws"'
        account = self._columns.get("account-id", "'-'")
        self._body.append(f"account = account if {account} == '-' else {account}")
        members += "{" + self._let("""',"account":{"id":"' + account + '"}' if account else ''""") + "}"
        if self._has("region"):
            region = self._columns["region"]
            self._body.append(f"region = (region or {region}) if {region} == '-' else {region}")
        members += "{" + self._let("""',"region":"' + region + '"' if region else ''""") + "}"
        if self._has("az-id"):
            members += ',"availability_zone":"{' + self._columns["az-id"] + '}"'
        if self._has("instance-id"):
            members += "{" + self._object("instance", [self._member("instance-id", "id")]) + "}"
        return f'"cloud":{{{{{members}}}}},'

    def _event(self) -> str:
        members = '"kind":"event","category":["network"],"module":"aws","dataset":"aws.vpcflow"'
        action = self._columns.get("action", "'-'")
        self._body.append(f"action = ACTIONS.get({action})")
        self._unless("action is None")
        members += "{action}"
        for name in ("start", "end"):
            if self._has(name):
                members += f',"{name}":"{{{name}[1]}}"'
        if self._has("reject-reason"):
            members += "{" + self._member("reject-reason", "reason") + "}"
        return f'"event":{{{{{members},"original":"{{text}}"}}}}'

    def _endpoint(self, name: str, to: str) -> None:
        value = self._columns[name]
        self._body.append(f"{to} = known_endpoint({value}) or find_endpoint({value})")
        self._unless(f"{to} is None")

    def _counts(self) -> list[str]:
        return [f'"{name}":{{{self._columns[name]}}}' for name in ("packets", "bytes") if self._has(name)]

    def _source(self) -> str:
        members = self._counts()
        if self._has("srcport"):
            members.insert(0, f'"port":{{{self._columns["srcport"]}}}')
        if self._has("srcaddr"):
            self._endpoint("srcaddr", "source")
            members.insert(0, "{source.json}")
        return f',"source":{{{{{",".join(members)}}}}}' if members else ""

    def _destination(self) -> str:
        members = []
        if self._has("dstaddr"):
            self._endpoint("dstaddr", "destination")
            members.append("{destination.json}")
        if self._has("dstport"):
            members.append(f'"port":{{{self._columns["dstport"]}}}')
        return f',"destination":{{{{{",".join(members)}}}}}' if members else ""

    def _network(self) -> str:
        members = [f",{count}" for count in self._counts()]
        if self._has("srcaddr"):
            members.append(',"type":"{source.type}"')
        if self._has("protocol"):
            self._body.append(f"protocol = PROTOCOLS.get({self._columns['protocol']})")
            self._unless("protocol is None")
            members.append("{protocol[1]}")
        if self._has("protocol", "srcaddr", "dstaddr", "srcport", "dstport"):
            flow = "protocol[0], source.packed, destination.packed, source_port, destination_port"
            members.append(f',"community_id":"{{community_id({flow})}}"')
        if self._has("flow-direction"):
            members.append(f',"direction":"{{{self._columns["flow-direction"]}}}"')
        if members == ["{protocol[1]}"]:
            return ',"network":{{{protocol[1][1:]}}}'
        if not members:
            return ""
        members.sort(key=lambda member: member.startswith("{"))
        return f',"network":{{{{{"".join(members)[1:]}}}}}'

    def _related(self) -> str:
        seen = [self._columns[name] for name in ("srcaddr", "dstaddr") if self._has(name)]
        members = [f'"{{{seen[0]}}}"'] if seen else []
        if len(seen) == 2:
            members.append("{" + self._let(f"""'' if {seen[1]} == {seen[0]} else ',"' + {seen[1]} + '"'""") + "}")
        for name in ("pkt-srcaddr", "pkt-dstaddr"):
            if self._has(name):
                value, more = self._columns[name], self._let("''")
                self._body.append(f"if {value} not in ({''.join(f'{x}, ' for x in seen)}'-'):")
                self._body.append(
                    f"    if known_endpoint({value}) is None and find_endpoint({value}) is None: return None"
                )
                self._body.append(f"""    {more} = ',"' + {value} + '"'""")
                members.append("{" + more + "}")
                seen.append(value)
        if not seen:
            return ""
        if members[0].startswith('"'):
            return f',"related":{{{{"ip":[{"".join(members)}]}}}}'
        joined = self._let(" + ".join(member[1:-1] for member in members))
        return "{" + self._let(f"""',"related":{{"ip":[' + {joined}[1:] + ']}}' if {joined} else ''""") + "}"

    def _orchestration(self) -> str:
        places = (
            ("cluster", (("ecs-cluster-arn", "id"), ("ecs-cluster-name", "name"))),
            ("resource", (("ecs-container-instance-id", "id"), ("ecs-container-instance-arn", "name"))),
        )
        found = []
        for place, members in places:
            if here := [self._member(name, to) for name, to in members if self._has(name)]:
                found.append(self._object(place, here))
        parts = ""
        if found:
            joined = self._let(" + ".join(found))
            text = f"""',"orchestrator":{{"type":"ecs"' + {joined} + '}}' if {joined} else ''"""
            parts += "{" + self._let(text) + "}"
        if self._has("ecs-service-name"):
            parts += "{" + self._object("service", [self._member("ecs-service-name", "name")]) + "}"
        return parts

    def _aws(self) -> str:
        members = [self._member(name, to) for name, to in own_fields(self._layout).items()]
        if self._has("tcp-flags"):
            flags = self._let(f"TCP_FLAGS.get({self._columns['tcp-flags']})")
            self._unless(f"{flags} is None")
            members.append(flags)
        for name in LOST:
            if self._has(name):
                count = self._let(f"whole_number({self._columns[name]})")
                text = f"""'' if {count} is None else ',"{name.replace("-", "_")}":' + str({count})"""
                members.append(self._let(text))
        place = (("sublocation-type", "type"), ("sublocation-id", "id"))
        if here := [self._member(name, to) for name, to in place if self._has(name)]:
            members.append(self._object("sublocation", here))
        own = self._let("(" + (" + ".join(members) or "''") + ")[1:]")
        own = self._let(f"""aws + '"vpcflow":{{' + {own} + '}}' if {own} else aws[:-1]""")
        return "{" + self._let(f"""',"aws":{{' + {own} + '}}' if {own} else ''""") + "}"
