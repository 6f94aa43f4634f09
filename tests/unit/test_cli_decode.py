"""`shipper decode`: documents in input order on standard output, complaints on standard error."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import structlog

from shipper import cli
from shipper.build import LOG_TYPES, LogType
from shipper.commands.decode import _decode_one
from shipper.model import Document, Origin, Payload, Record, Rejected
from shipper.ports import Encoder
from tests.fakes.pipeline import LinesFormat, LinesSchema


class NamedSchema:
    """The record's line with what it was made for."""

    def __init__(self, *made_for: str) -> None:
        self._head = " ".join(made_for)

    def encoder(self, origin: Origin) -> Encoder:
        return lambda record: Document("", "", 0, f"{self._head} {origin.uri} ".encode() + record.raw, record, origin)


@pytest.fixture(autouse=True)
def _lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two more log types: plain lines, and lines that say what they were made for."""
    lines = LogType("lines", "lines", lambda _: LinesFormat(), lambda *_: LinesSchema(), lambda *_: LinesSchema())
    named = LogType(
        "named",
        "named",
        lambda _: LinesFormat(),
        lambda namespace, _: NamedSchema("ecs", namespace),
        lambda index, host, _: NamedSchema("splunk", index, host),
    )
    monkeypatch.setitem(LOG_TYPES, "lines", lines)
    monkeypatch.setitem(LOG_TYPES, "named", named)
    yield
    structlog.reset_defaults()


def test_documents_come_in_input_order(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Files are read in the order given, a folder's files by name, and each document is one line."""
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "b").write_text("3\n")
    (folder / "a").write_text("2\n-filtered\n")
    (tmp_path / "first").write_text("1\n")
    assert cli.run(["decode", "--type", "lines", str(tmp_path / "first"), str(folder)]) == 0
    captured = capfdbinary.readouterr()
    assert captured.out == b"1\n2\n3\n"
    assert captured.err == b""


def test_bad_records_are_told_and_good_ones_still_come_out(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Undecodable and unmappable records, broken and missing files give a line each on standard error, and exit 1."""
    bad, rest, none = tmp_path / "bad", tmp_path / "rest", tmp_path / "none\x1b"
    bad.write_text("1\n!x\n?y\n2\n")
    rest.write_text("3\n#\n4\n")
    assert cli.run(["decode", "--type", "lines", str(bad), str(none), str(rest)]) == 1
    captured = capfdbinary.readouterr()
    assert captured.out == b"1\n2\n3\n"
    assert captured.err.decode().splitlines() == [
        f"{bad}: record 2: not a record",
        f"{bad}: record 3: no document for this",
        f"{tmp_path}/none\\x1b: No such file or directory",
        f"{rest}: the rest is unreadable",
    ]


@pytest.mark.parametrize("args", [[], ["-"]])
def test_standard_input_is_read(
    args: list[str], capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a path, or with `-`, standard input is read."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1\n!\n")))
    assert cli.run(["decode", "--type", "lines", *args]) == 1
    captured = capfdbinary.readouterr()
    assert captured.out == b"1\n"
    assert captured.err == b"standard input: record 2: not a record\n"


def test_the_configuration_gives_namespace_index_and_host(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With -c, documents are those that the configured sinks get; its secret files are not needed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_text("1\n")
    (tmp_path / "s.yaml").write_text(
        "sources: {t: {type: s3, bucket: abc}}\nsinks:\n"
        "  e: {type: elasticsearch, hosts: ['https://e'], data_stream_namespace: prod}\n"
        "  s: {type: splunk_hec, urls: ['https://s'], token_file: /none, index: aws, host: h}\n"
    )
    (tmp_path / "s.yaml").chmod(0o600)
    assert cli.run(["decode", "--type", "named", "x"]) == 0
    assert cli.run(["decode", "--type", "named", "-c", "s.yaml", "x"]) == 0
    assert cli.run(["decode", "--type", "named", "--for", "splunk", "-c", "s.yaml", "x"]) == 0
    uri = str(tmp_path / "x").encode()
    assert capfdbinary.readouterr().out.splitlines() == [
        b"ecs default %s 1" % uri,
        b"ecs prod %s 1" % uri,
        b"splunk aws h %s 1" % uri,
    ]


def test_an_unknown_type_is_wrong_usage(capfd: pytest.CaptureFixture[str]) -> None:
    """The message names the types that there are."""
    assert cli.run(["decode", "--type", "cloudtrial"]) == 2
    assert f"'cloudtrial' is not one of {', '.join(sorted(LOG_TYPES))}" in capfd.readouterr().err


class _Broken:
    """A format with a bug."""

    def records(self, _payload: Payload) -> Iterator[Record | Rejected]:
        raise LookupError("unforeseen\nnonsense")


def test_a_bug_is_told_with_its_place(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw goes through the log, with its traceback, and exits with 1."""
    broken = LogType("broken", "x", lambda _: _Broken(), lambda *_: LinesSchema(), lambda *_: LinesSchema())
    monkeypatch.setitem(LOG_TYPES, "broken", broken)
    assert cli.run(["decode", "--type", "broken", "/dev/null"]) == 1
    told = capfd.readouterr().err
    assert "this is a bug" in told
    assert "LookupError: unforeseen" in told


class _Zeros:
    """A format that yields a record for every chunk, and keeps none."""

    def records(self, payload: Payload) -> Iterator[Record | Rejected]:
        for number, chunk in enumerate(payload.chunks, 1):
            yield Record(chunk[:1], number)


def test_a_large_file_is_never_in_memory(tmp_path: Path) -> None:
    """A file of half a gigabyte passes through in pieces."""
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(512 * 1024 * 1024)
    out = io.BytesIO()
    tracemalloc.start()
    try:
        with large.open("rb", buffering=0) as raw:
            assert list(_decode_one(large, raw, _Zeros(), LinesSchema(), out, logs="lines")) == []
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert out.getvalue() == b"\0\n" * 2048


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    """`shipper decode … | head -1` prints no complaint."""
    (tmp_path / "many").write_text("x" * 100 + "\n" + "y\n" * 500_000)
    program = (
        "from shipper import build, cli; from tests.fakes.pipeline import LinesFormat, LinesSchema;"
        "build.LOG_TYPES['lines'] = build.LogType("
        "'lines', 'lines', lambda _: LinesFormat(), lambda *_: LinesSchema(), lambda *_: LinesSchema());"
        "cli.main()"
    )
    command = [sys.executable, "-c", program, "decode", "--type", "lines", str(tmp_path / "many")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_secrets_are_masked_as_they_would_be_shipped(tmp_path, capfdbinary):
    """What is shown is what would be shipped, in both kinds of documents."""
    record = b'{"eventTime":"2026-01-05T12:00:00Z","eventID":"1","responseElements":{"sessionToken":"IQoJ"}}'
    file = tmp_path / "record.json"
    file.write_bytes(record)
    for target in ("ecs", "splunk"):
        assert cli.run(["decode", "--type", "cloudtrail", "--for", target, str(file)]) == 0
        out = capfdbinary.readouterr().out
        assert b"IQoJ" not in out
        assert b"[redacted]" in out


def test_a_record_without_a_time_has_that_of_its_objects_name_as_it_would_be_shipped(tmp_path, capfdbinary):
    """The name that CloudTrail gave the file tells the time, for every kind of document; without it, that is said."""
    record = b'{"Records":[{"eventVersion":"1.08","eventID":"e","eventName":"Go","eventSource":"s3.amazonaws.com"}]}'
    named = tmp_path / "111122223333_CloudTrail_us-east-1_20260115T0305Z_7gq7pFTEs0ey8GgH.json"
    other = tmp_path / "copy.json"
    for file in (named, other):
        file.write_bytes(record)
    assert cli.run(["decode", "--type", "cloudtrail", str(named)]) == 0
    assert orjson.loads(capfdbinary.readouterr().out)["@timestamp"] == "2026-01-15T03:05:00.000Z"
    assert cli.run(["decode", "--type", "cloudtrail", "--for", "splunk", str(named)]) == 0
    assert orjson.loads(capfdbinary.readouterr().out)["time"] == 1_768_446_300
    assert cli.run(["decode", "--type", "cloudtrail", str(other)]) == 1
    complaint = f"{other}: record 1: the record has no eventTime, and its object's name gives no time"
    assert capfdbinary.readouterr().err.decode().startswith(complaint)
