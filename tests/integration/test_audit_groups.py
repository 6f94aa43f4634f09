"""`shipper audit` of log groups, over HTTP: each event that was delivered is in the sinks, or is found out."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from shipper import cli
from tests.fakes.cloudwatch_logs import CloudWatchLogs
from tests.fakes.cloudwatch_server import serving
from tests.fakes.splunk_hec import SEARCH_TOKEN, TOKEN, FakeSplunk
from tests.parts.elasticsearch import ElasticsearchServer

Audit = Callable[..., tuple[int, dict[str, Any]]]
EVENTS = 40


class Place:
    """A log group whose pages are short, and the sinks of a test."""

    def __init__(self, folder: Path, logs: CloudWatchLogs, url: str) -> None:
        self.folder = folder
        self.logs = logs
        self.sinks: dict[str, dict[str, Any]] = {}
        self.source: dict[str, Any] = {"type": "cloudwatch_logs", "log_groups": ["app"], "calls_per_second": 100}
        self.source |= {"logs": "cloudwatch", "start": "-3h"}
        self._url = url
        logs.page_events = 3
        self.group = logs.group("app", created=time.time() - 86_400)
        now_ms = int(time.time() * 1000)
        # over two hours, and older than what a search may not show yet
        self.times = [now_ms - 300_000 - number * 150_000 for number in range(EVENTS)]
        for number, time_ms in enumerate(self.times):
            level = "debug" if number % 4 == 0 else "info"
            logs.put(self.group, f"s{number % 3}", (time_ms, json.dumps({"n": number, "level": level})))

    def run(self, *arguments: str) -> int:
        path = self.folder / "shipper.yaml"
        settings = {
            "state": {"path": str(self.folder / "state")},
            "listen": "off",
            "aws": {"region": "us-east-1", "endpoint_url": self._url},
            "sources": {"cw": self.source},
            "sinks": self.sinks,
            "log": {"level": "error"},
        }
        path.write_text(json.dumps(settings))
        path.chmod(0o600)
        return cli.run([*arguments, "-c", str(path)])


@pytest.fixture
def place(tmp_path: Path, aws_environment: None) -> Iterator[Place]:
    logs = CloudWatchLogs(time.time)
    with serving(logs) as url:
        yield Place(tmp_path, logs, url)


@pytest.fixture
def audit(place: Place, capfd: pytest.CaptureFixture[str]) -> Audit:
    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        capfd.readouterr()
        code = place.run("audit", "--since", "beginning", "--settle-seconds", "0", "--json", *arguments)
        out, err = capfd.readouterr()
        assert out, err
        return code, json.loads(out)

    return run


def remarks(found: dict[str, Any]) -> dict[str, int]:
    return {each["what"]: each["number"] for each in found["remarks"]}


def test_deleted_documents_of_a_log_group_are_found_and_healed(
    place: Place, audit: Audit, elasticsearch9: ElasticsearchServer
) -> None:
    """Hours are counted; only the one that differs is read again, and only what is missing is sent."""
    namespace = f"audit{uuid.uuid4().hex[:10]}"
    names = f"logs-aws.cloudwatch_logs-{namespace}"
    place.sinks["siem"] = {
        "type": "elasticsearch",
        "hosts": [elasticsearch9.url],
        "data_stream_namespace": namespace,
    }
    assert place.run("run", "--once") == 0
    elasticsearch9.request("POST", f"{names}/_refresh")
    code, found = audit()
    assert (code, found["differences"], remarks(found)) == (0, [], {})
    (counted,) = found["sources"]
    assert (counted["records"], counted["splits_by_id"]) == (EVENTS, 0)
    _, answer = elasticsearch9.request("POST", f"{names}/_search", {"size": 2, "sort": ["@timestamp"]})
    victims = answer["hits"]["hits"]
    for hit in victims:
        elasticsearch9.request("DELETE", f"{hit['_index']}/_doc/{hit['_id']}")
    elasticsearch9.request("POST", f"{names}/_refresh")
    code, found = audit()
    assert code == 1
    assert {key for each in found["differences"] for key in each["document_ids"]} == {hit["_id"] for hit in victims}
    code, found = audit("--repair")
    assert (code, [each["repaired"] for each in found["differences"]]) == (1, [True] * len(found["differences"]))
    elasticsearch9.request("POST", f"{names}/_refresh")
    assert audit()[0] == 0
    _, answer = elasticsearch9.request("POST", f"{names}/_search", {"size": 0, "track_total_hits": True})
    assert answer["hits"]["total"]["value"] == EVENTS


def test_events_that_are_gone_from_splunk_are_sent_again_alone(place: Place, audit: Audit) -> None:
    """By `event_uid`; filtered events and those that became visible late are no difference."""
    with FakeSplunk() as splunk:
        place.sinks["splunk"] = {
            "type": "splunk_hec",
            "urls": [splunk.url],
            "token": TOKEN,
            "search_url": splunk.url,
            "search_token": SEARCH_TOKEN,
        }
        assert place.run("run", "--once") == 0
        code, found = audit()
        assert (code, found["differences"], found["sources"][0]["splits_by_id"]) == (0, [], 0)
        lost = splunk.events.pop(7)
        assert lost.time is not None
        place.logs.put(place.group, "late", (int(lost.time * 1000), json.dumps({"n": -1, "level": "info"})))
        code, found = audit()
        assert code == 1
        assert [each["document_ids"] for each in found["differences"]] == [[lost.uid]]
        assert list(remarks(found).values()) == [1]
        assert "became visible late" in next(iter(remarks(found)))
        assert audit("--repair")[0] == 1
        assert len(splunk.events) == EVENTS
        assert audit()[0] == 0
        assert set(splunk.stored.values()) == {1}


def test_filtered_events_are_no_difference(place: Place, audit: Audit) -> None:
    """The state knows them as done; read again, the rule keeps them away again."""
    with FakeSplunk() as splunk:
        place.source["filter"] = 'drop level == "debug"'
        place.sinks["splunk"] = {
            "type": "splunk_hec",
            "urls": [splunk.url],
            "token": TOKEN,
            "search_url": splunk.url,
            "search_token": SEARCH_TOKEN,
        }
        assert place.run("run", "--once") == 0
        assert len(splunk.events) == EVENTS - 10
        code, found = audit()
        assert (code, found["differences"]) == (0, [])
        assert found["sources"][0]["splits_by_id"] > 0
        splunk.events.pop()
        code, found = audit()
        assert (code, [len(each["document_ids"]) for each in found["differences"]]) == (1, [1])


def test_a_line_lost_from_an_archive_of_log_groups_is_found(place: Place, audit: Audit) -> None:
    """Each window's file is counted against its receipt; the window is not kept, so that it stays a difference."""
    place.sinks["files"] = {"type": "archive", "path": str(place.folder / "archive")}
    assert place.run("run", "--once") == 0
    code, found = audit()
    assert (code, found["differences"], sum(each["records"] for each in found["sources"])) == (0, [], EVENTS)
    file = next((place.folder / "archive").rglob("*.zst"))
    lines = (
        zstandard.ZstdDecompressor().stream_reader(file.read_bytes(), read_across_frames=True).read().splitlines(True)
    )
    file.write_bytes(zstandard.ZstdCompressor().compress(b"".join(lines[1:])))
    code, found = audit("--repair")
    assert code == 1
    (difference,) = found["differences"]
    assert difference["what"] == f"split {file.name.removesuffix('.ndjson.zst')}"
    assert (difference["expected"] - difference["found"], difference["repaired"]) == (1, False)
