"""Strict indices under the names that Elastic's rules search, on real servers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from shipper.sinks.elasticsearch import ElasticsearchSink
from tests.contract.sinks import split
from tests.contract.sinks.elasticsearch import document
from tests.parts.elasticsearch import PASSWORD, ElasticsearchServer
from tests.parts.search_server import SearchServer

SERVERS = ["elasticsearch9", "elasticsearch8", "opensearch"]


def strict_sink(server: SearchServer, namespace: str, **options: object) -> ElasticsearchSink:
    return ElasticsearchSink("siem", [server.url], namespace=namespace, strict=True, **options)  # type: ignore[arg-type] # options of tests


def hits(server: SearchServer, names: str) -> int:
    server.request("POST", "shipper-*,logs-*/_refresh")
    count: int = server.request("GET", f"{names}/_count").body["count"]
    return count


@pytest.mark.parametrize("major", SERVERS)
def test_rules_find_what_strict_indices_hold(major, request):
    """`logs-aws.cloudtrail-*` finds all of it, beside a data stream of the same data set and namespace."""
    server = request.getfixturevalue(major)
    namespace = uuid.uuid4().hex[:8]
    stream = ElasticsearchSink("siem", [server.url], namespace=namespace)
    stream.prepare()
    assert stream.open(split()).send([document(9, namespace)]).delivered == 1
    sink = strict_sink(server, namespace)
    sink.prepare()
    old = msgspec.structs.replace(document(1, namespace), time_ms=1_767_000_000_000)
    assert sink.open(split()).send([document(0, namespace), old]).delivered == 2
    assert hits(server, f"logs-aws.cloudtrail-{namespace}-strict") == 2
    assert hits(server, f"logs-aws.cloudtrail-{namespace}*") == 3
    assert stream.open(split()).send([document(10, namespace)]).delivered == 1
    assert sink.install_templates() == []
    assert list(sink.problems()) == []
    sink.close()
    stream.close()


@pytest.mark.parametrize("major", SERVERS)
def test_indices_of_an_earlier_version_get_their_alias(major, request):
    """`check` says that they lack it, and the next start adds it; other namespaces are left alone."""
    server = request.getfixturevalue(major)
    namespace = uuid.uuid4().hex[:8]
    indices = [f"shipper-aws.cloudtrail-{namespace}-2026.01.0{day}" for day in (1, 2)]
    other = f"shipper-aws.cloudtrail-{namespace}x-2026.01.01"
    for index in (*indices, other):
        assert server.request("PUT", index).status == 200
    sink = strict_sink(server, namespace)
    assert [p.what for p in sink.problems() if "alias" in p.what] == [
        "2 strict indices lack their alias: Elastic's rules do not see it"
    ]
    lines = sink.install_templates()
    assert lines[-1] == f"aliases added to 2 strict indices: logs-aws.cloudtrail-{namespace}-strict"
    found = server.request("GET", f"_alias/logs-aws.cloudtrail-{namespace}-strict").body
    assert sorted(found) == indices
    assert sink.install_templates() == []
    assert list(sink.problems()) == []
    sink.close()


@pytest.fixture(scope="module")
def secured() -> Iterator[ElasticsearchServer]:
    """Elasticsearch 9 with the role that `--show-role` prints, and one as 0.1.0 printed it."""
    server = ElasticsearchServer("9", secure=True)
    before = strict_sink(server, "n1").role()
    del before["indices"][1:]
    roles: dict[str, object] = {"writer": strict_sink(server, "n1").role(), "before": before}
    _add_roles(server.folder / "config" / "roles.yml", roles)
    for name in roles:
        server._add_user(name, name)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _add_roles(file: Path, roles: Mapping[str, object]) -> None:
    # A role begins with its name at the beginning of a line; what follows is YAML, which takes JSON.
    file.write_bytes(b"".join(b"%b: %b\n" % (name.encode(), msgspec.json.encode(role)) for name, role in roles.items()))
    file.chmod(0o644)


def test_a_restricted_role_makes_aliases_by_the_templates_and_says_what_it_may_not(secured):
    """The printed role delivers, and sees aliases; an older one is told what it cannot see, instead of a guess."""
    ca = {"ca_certs": str(secured.ca_certs)}
    admin = strict_sink(secured, "n1", basic_auth=secured.login, **ca)
    admin.prepare()
    writer = strict_sink(secured, "n1", basic_auth=("writer", PASSWORD), **ca)
    assert writer.open(split()).send([document(0, "n1")]).delivered == 1
    assert hits(secured, "logs-aws.cloudtrail-*") == 1
    assert writer.install_templates() == []
    assert [p for p in writer.problems() if "alias" in p.what] == []
    before = strict_sink(secured, "n1", basic_auth=("before", PASSWORD), **ca)
    assert before.install_templates() == []
    assert [p.note for p in before.problems() if "alias" in p.what] == [True]
    assert secured.request("PUT", "shipper-aws.waf-n1-2026.01.01", {"aliases": {}}).status == 200
    secured.request("POST", "_aliases", {"actions": [{"remove": {"index": "shipper-aws.waf-n1-*", "alias": "*"}}]})
    (line,) = writer.install_templates()
    assert line.startswith("1 strict index lacks its alias, and the credentials may not add it: ")
    assert '{"add":{"index":"shipper-aws.waf-n1-*","alias":"logs-aws.waf-n1-strict"}}' in line
    for sink in (admin, writer, before):
        sink.close()
