"""Filters in the configuration and on the command line: what is dropped is counted, and mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipper import cli
from shipper.build.sinks import lanes
from shipper.config import Settings, parse
from shipper.config.values import Surroundings
from shipper.errors import ConfigError
from shipper.model import LogEvent, LogStream, Origin, Record
from shipper.ports import Lookups, Sink
from tests.fakes.pipeline import MemorySink

LINES = [
    f"2 123456789012 eni-1 {source} 10.0.0.5 51000 {port} 6 10 840 1772366710 1772366765 {action} OK"
    for source, port, action in (("203.0.113.7", 22, "REJECT"), ("10.0.0.9", 22, "ACCEPT"), ("10.0.0.9", 443, "ACCEPT"))
]


def settings(source: str = "", sink: str = "") -> Settings:
    text = (
        f"sources: {{flow: {{type: s3, bucket: flows, logs: vpcflow{source}}}}}\n"
        f"sinks: {{all: {{type: archive, path: a}}, some: {{type: archive, path: b{sink}}}}}\n"
    )
    return parse(text, name="s.yaml", environ={}, around=Surroundings(folder=Path("/etc")))


def kept(chosen: Settings) -> dict[str, list[int]]:
    """Which ports each sink gets, of lines that came as log events without a layout."""
    sinks: dict[str, Sink] = {name: MemorySink(name) for name in ("all", "some")}
    event = LogEvent("1" * 56, 1_772_366_765_000, LogStream("1", "r", "g", "s"))
    found: dict[str, list[int]] = {}
    for lane in lanes(chosen, "flow", sinks, Lookups()):
        encode = lane.schemas["vpcflow"].encoder(Origin("arn"))
        made = [encode(Record(line.encode(), n, None, event)) for n, line in enumerate(LINES)]
        for sink in lane.sinks:
            found[sink.name] = [n for n, document in enumerate(made) if document is not None]
    return found


def test_a_sources_filter_is_for_all_sinks_and_a_sinks_for_itself():
    """Both rules must keep a record; what one of them drops is None, which shipping counts as filtered."""
    assert kept(settings()) == {"all": [0, 1, 2], "some": [0, 1, 2]}
    by_source = settings(", filter: 'dstport in [22, 3389]'")
    assert kept(by_source) == {"all": [0, 1], "some": [0, 1]}
    by_both = settings(", filter: 'dstport in [22, 3389]'", ", filter: 'drop srcaddr in cidr(\"10.0.0.0/8\")'")
    assert kept(by_both) == {"all": [0, 1], "some": [0]}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (", filter: 'acton == \"REJECT\"'", "sources.flow.filter: filter, column 1: unknown field acton; did you mean"),
        (", filter: 'action = \"REJECT\"'", "write =="),
    ],
)
def test_a_mistake_in_a_filter_has_its_place(keys, words):
    """File, line, key, column, and what was probably meant."""
    with pytest.raises(ConfigError, match=r"s\.yaml:1") as caught:
        settings(keys)
    assert words in str(caught.value)


def test_explain_filter_counts_records_and_bytes(tmp_path, capfd):
    """What the rule would drop of real input, without a document."""
    file = tmp_path / "flows.log"
    file.write_text("\n".join(LINES) + "\n")
    rule = 'drop action == "ACCEPT"'
    assert cli.run(["decode", "--type", "vpcflow", "--filter", rule, "--explain-filter", str(file)]) == 0
    out = capfd.readouterr().out
    assert f"dropped: 2 of 3 records (66.7%), {len(LINES[1]) + len(LINES[2]):,} bytes" in out
    assert cli.run(["decode", "--type", "vpcflow", "--filter", rule, str(file)]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 1
