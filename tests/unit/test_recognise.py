"""Objects that are something else than their source says: read where that is safe, else named with what to do."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
import zstandard
from structlog.testing import capture_logs

from shipper import cli
from shipper.build import LOG_TYPES
from shipper.delivery import Patience
from shipper.errors import BadInputError
from shipper.formats.kinds import kind_of
from shipper.metrics import Metrics
from shipper.model import Origin, Payload, ReadLimits, Receipt, Record, Rejected, S3Split
from shipper.ports import Lookups, Stop
from shipper.shipping import Lane, Route, Shipper
from shipper.unparsed_log import QUIET_SECONDS, UnparsedLog
from tests.fakes.pipeline import LinesReader, MemoryDeadLetters, MemorySink, lines_split
from tests.unit import test_bad_input

CASES = Path("/work/shared/cases/formats")
TRAIL = test_bad_input.TRAIL | {"eventSource": "ec2.amazonaws.com"}
QUERY = {"query_timestamp": "2026-01-02T03:04:05Z", "query_name": "a.", "query_type": "A", "srcaddr": "10.0.0.1"}
GOOD = test_bad_input.GOOD | {"cloudtrail": orjson.dumps(TRAIL), "route53_resolver": orjson.dumps(QUERY)}
TRAILS = orjson.dumps({"Records": [TRAIL, TRAIL | {"eventID": "f"}]})
PRETTY = json.dumps({"Records": [TRAIL, TRAIL | {"eventID": "f"}]}, indent=2).encode()
WAF = orjson.loads(GOOD["waf"])


def records(name: str, stored: bytes, cut: int = 1 << 16) -> list[Record | Rejected]:
    chunks = (stored[at : at + cut] for at in range(0, len(stored), cut))
    return list(LOG_TYPES[name].format(ReadLimits()).records(Payload(Origin("s3://b/k"), chunks)))


def refusal(name: str, stored: bytes) -> str:
    with pytest.raises(BadInputError) as caught:
        records(name, stored)
    return str(caught.value)


def tar(data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("trail.json")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("trail.json", data)
    return file.getvalue()


@pytest.mark.parametrize("name", sorted(LOG_TYPES))
@pytest.mark.parametrize(
    ("stored", "word"),
    [
        (zipped(TRAILS), "a zip archive"),
        (gzip.compress(zipped(TRAILS)), "a zip archive"),
        (bz2.compress(TRAILS), "a bzip2 file"),
        (lzma.compress(TRAILS), "an xz file"),
        (zstandard.compress(TRAILS), "a zstd file"),
        (tar(TRAILS), "a tar archive"),
        (gzip.compress(tar(TRAILS)), "a tar archive"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(60), "a 7-Zip archive"),
        (gzip.compress(gzip.compress(gzip.compress(TRAILS))), "gzip within gzip within gzip"),
        (gzip.compress(b"PAR1" + bytes(60) + b"PAR1"), "a Parquet file"),
        (b'"eventtime","eventname","useridentity"\n"2025-03-07","a","b"\n', "a CSV table"),
        (b"@timestamp,@message\r\n2025-03-07 00:00:00.000,text\r\n", "CloudWatch Logs Insights"),
        (b"\xef\xbb\xbfEvent name,Event time,User name,Event ID\r\na,b,c,d\r\n", "saved from the console"),
    ],
)
def test_other_files_are_named_for_every_log_type(name, stored, word):
    """An archive or a table is one dead letter, with what it is and what to do, whatever was expected."""
    assert word in refusal(name, stored)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("name", sorted(GOOD))
@pytest.mark.parametrize("cut", [1, 7, 1 << 16])
def test_text_of_other_encodings_is_read(encoding, name, cut):
    """Byte order marks are skipped, and wide characters decoded, with or without a mark and however chunks are cut."""
    text = f"{GOOD[name].decode()}\r\n{GOOD[name].decode()}\r\n"
    (first, second) = records(name, text.encode(encoding), cut)
    assert first.raw == second.raw == GOOD[name]


def test_several_byte_order_marks_are_skipped():
    """As editors make them that add one to what has one."""
    assert len(records("cloudtrail", codecs.BOM_UTF8 * 3 + TRAILS)) == 2


@pytest.mark.parametrize("name", ["cloudtrail", "elb", "vpcflow", "waf"])
def test_gzip_within_gzip_is_read(name):
    """Firehose compresses again what CloudWatch Logs compressed; people do it by mistake."""
    line = GOOD[name]
    assert [each.raw for each in records(name, gzip.compress(gzip.compress(line + b"\n")))] == [line]


@pytest.mark.parametrize("cut", [3, 64, 1 << 16])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_of_records_is_taken_apart(indent, cut):
    """Each of its objects is a record."""
    first, second = WAF, WAF | {"webaclId": "v"}
    found = records("waf", json.dumps([first, second], indent=indent).encode(), cut)
    assert [orjson.loads(each.raw) for each in found] == [first, second]


def test_records_over_many_lines_are_taken_apart():
    """One after another, with line ends of Windows."""
    text = "\r\n".join(json.dumps(WAF, indent=2).replace("\n", "\r\n") for _ in range(3))
    assert [orjson.loads(each.raw) for each in records("waf", text.encode())] == [WAF] * 3


def test_an_array_that_is_cut_off_says_so_after_what_was_read():
    """What came before stands."""
    found = (
        LOG_TYPES["waf"]
        .format(ReadLimits())
        .records(Payload(Origin("x"), iter([json.dumps([WAF, WAF], indent=1).encode()[:-30]])))
    )
    assert orjson.loads(next(found).raw) == WAF
    with pytest.raises(BadInputError, match="cut off"):
        list(found)


DOCUMENTS = {
    "lookup-events": {"Events": [{"EventId": "a", "CloudTrailEvent": orjson.dumps(TRAIL).decode()}]},
    "CloudTrail Lake": {"QueryStatus": "FINISHED", "QueryResultRows": [[{"eventName": "a"}]]},
    "of Athena": {"ResultSet": {"Rows": [{"Data": [{"VarCharValue": "a"}]}]}},
    "Logs Insights": {"results": [[{"field": "@message", "value": "a"}]], "status": "Complete"},
    "test notification": {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"},
    "an SNS message": {"Type": "Notification", "MessageId": "a", "TopicArn": "arn", "Message": "{}"},
    "an SQS message": {"Records": [{"messageId": "a", "receiptHandle": "b", "body": "c", "eventSource": "aws:sqs"}]},
    "an S3 notification": {"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "eventTime": "2026-01-02"}]},
    "an EventBridge event": {"version": "0", "detail-type": "AWS API Call", "source": "aws.ec2", "detail": TRAIL},
    "export of Elasticsearch": {"_index": "x", "_source": {"event": {"original": "{}"}}},
    "export of Splunk": {"preview": False, "result": {"_raw": "{}"}},
}


@pytest.mark.parametrize("name", ["cloudtrail", "waf", "elb", "vpcflow", "route53_resolver", "subscription"])
@pytest.mark.parametrize("indent", [None, 4])
@pytest.mark.parametrize("word", sorted(DOCUMENTS))
def test_documents_that_are_no_logs_are_named(name, indent, word):
    """Printed on one line or over many, alone or in an envelope of their own."""
    assert word in refusal(name, json.dumps(DOCUMENTS[word], indent=indent).encode())


@pytest.mark.parametrize(
    ("page", "word"),
    [
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "an HTML page"),
        (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', "an error of S3 as XML (AccessDenied)"),
        (b"#Version: 1.0\n#Fields: date time x-edge-location\n2026-01-01\t00:00:00\tFRA6\n", "CloudFront"),
        (bytes(range(256)) * 2, "binary data"),
    ],
)
def test_pages_and_binary_data_are_named(page, word):
    """What a proxy or S3 answered in the object's place, and what is no text at all."""
    assert word in refusal("elb", page)


@pytest.mark.parametrize("expected", ["elb", "s3access", "vpcflow", "waf", "route53_resolver", "cloudtrail", "rds"])
@pytest.mark.parametrize("held", sorted(GOOD))
def test_lines_of_another_type_are_named(expected, held):
    """The likelier type is in the words; what is of the right type is read."""
    if expected == held:
        assert len(records(expected, (GOOD[held] + b"\n") * 5)) == 5
    else:
        assert f"set `logs: {held}`" in refusal(expected, (GOOD[held] + b"\n") * 5)


def test_the_words_count_the_lines():
    """As many as the object has, or as were looked at."""
    line = GOOD["s3access"] + b"\n"
    assert refusal("elb", line * 5) == "0 of 5 lines are of type elb; they look like s3access: set `logs: s3access`"
    assert refusal("elb", line).startswith("0 of 1 line is of type elb; it looks like s3access")
    assert refusal("elb", line * 500).startswith("0 of the first 20 lines are of type elb; they look like s3access")
    assert refusal("elb", b"text\n" * 4).startswith("0 of 4 lines are of type elb, and they look like no other")
    flow = b"2 111122223333 eni-1 203.0.113.9 10.0.0.5 54321 22 6 1 60 1767323045 1767323075 ACCEPT OK\n"
    for exported in (b"", b"2026-01-02T03:04:05.123Z "):
        assert "they look like vpcflow" in refusal("elb", (exported + flow) * 5)


def test_flow_lines_of_an_order_of_their_own_say_what_to_configure():
    """Without a header nobody can tell their fields, unless `format` names them."""
    line = b"203.0.113.9 10.0.0.5 54321 22 6 1 60 1767323045 1767323075 ACCEPT OK 2 111122223333 eni-0123\n"
    assert "name them with `format`" in refusal("vpcflow", line)
    header = (
        b"srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status version account-id x\n"
    )
    assert len(records("vpcflow", header + line)) == 1


@pytest.mark.parametrize("name", ["cloudwatch", "ec2", "containers"])
@pytest.mark.parametrize("held", sorted(GOOD))
def test_where_every_line_is_possible_every_line_is_read(name, held):
    """An application may log anything, even what AWS writes elsewhere."""
    assert len(records(name, (GOOD[held] + b"\n") * 5)) == 5


@pytest.mark.parametrize("held", sorted(GOOD))
def test_a_good_log_is_no_kind_of_another_document(held):
    """Only its own type's name, if any."""
    kind = kind_of(GOOD[held] + b"\n")
    assert kind is None or kind.logs == held


def ship(name: str, content: bytes) -> tuple[Receipt, MemorySink, MemoryDeadLetters, Metrics]:
    sink, letters, metrics = MemorySink(), MemoryDeadLetters(), Metrics()
    shipper = Shipper(
        formats={name: LOG_TYPES[name].format(ReadLimits())},
        routes={
            "source": Route(
                LinesReader({"key": content}), (Lane({name: LOG_TYPES[name].ecs("t", Lookups())}, (sink,)),)
            )
        },
        dead_letters=letters,
        metrics=metrics,
        stop=Stop(),
        patience=Patience(0),
    )
    receipt = shipper.ship(S3Split("split", "source", "scope", name, lines_split("key").objects))
    metrics.settled(receipt)
    return receipt, sink, letters, metrics


def test_unparsed_lines_are_shipped_with_a_tag_counted_and_warned_of():
    """Neighbours are as ever; nothing is dated by the clock without a tag."""
    content = (GOOD["elb"] + b"\n") * 3 + b"a line of no form\n" * 2
    with capture_logs() as logs:
        receipt, sink, letters, metrics = ship("elb", content)
    documents = [orjson.loads(body) for body in sink.stored.values()]
    odd = [document for document in documents if "tags" in document]
    assert len(documents) == 5
    assert [(each["message"], each["tags"]) for each in odd] == [("a line of no form", ["unparsed", "no_time"])] * 2
    assert (receipt.unparsed, letters.letters) == (2, [])
    count = metrics.registry.get_sample_value("shipper_events_unparsed_total", {"source": "source", "logs": "elb"})
    assert count == 2
    (warning,) = [entry for entry in logs if "no known form" in entry["event"]]
    assert (warning["source"], warning["logs"], warning["lines"], warning["position"]) == ("source", "elb", 2, 4)


def test_an_object_of_another_type_is_one_dead_letter():
    """Nothing of it is shipped, and the letter names the likelier type."""
    receipt, sink, letters, _ = ship("elb", (GOOD["s3access"] + b"\n") * 1000)
    (letter,) = letters.letters
    assert (letter.reason, letter.position, sink.stored) == ("unreadable_object", None, {})
    assert "set `logs: s3access`" in letter.answer
    assert (receipt.read, receipt.unaccounted, receipt.unparsed) == (1, 0, 0)


def test_the_warning_comes_once_in_a_while_and_counts_what_came_between():
    """For each source and type on its own."""
    now = 0.0
    warnings = UnparsedLog(lambda: now)
    with capture_logs() as logs:
        for source in ("a", "a", "b", "a"):
            warnings.note(source, "elb", lines=2, origin="s3://b/k", position=1)
        now = QUIET_SECONDS
        warnings.note("a", "elb", lines=1, origin="s3://b/l", position=9)
    assert [(entry["source"], entry["lines"]) for entry in logs] == [("a", 2), ("b", 2), ("a", 5)]


def decode(name: str, path: Path, target: str = "ecs") -> int:
    return cli.run(["decode", "--type", name, "--for", target, str(path)])


def test_decode_ends_with_1_and_names_the_likelier_type(tmp_path, capfd):
    """And writes nothing that would not be shipped."""
    path = tmp_path / "log"
    path.write_bytes((GOOD["s3access"] + b"\n") * 5)
    assert decode("elb", path) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "0 of 5 lines are of type elb; they look like s3access" in err


def test_decode_tells_of_unparsed_lines(tmp_path, capfd):
    """Some of many are a remark; a file of nothing else fails, though odd lines would be shipped."""
    path = tmp_path / "log"
    path.write_bytes((GOOD["elb"] + b"\n") * 3 + b"odd\n")
    assert decode("elb", path) == 0
    assert "1 of 4 lines are of no known form" in capfd.readouterr().err
    path.write_bytes(b"odd\n")
    assert decode("elb", path) == 1
    out, err = capfd.readouterr()
    assert orjson.loads(out)["tags"] == ["unparsed", "no_time"]
    written = datetime.fromtimestamp(path.stat().st_mtime_ns // 1_000_000 / 1000, UTC)
    assert datetime.fromisoformat(orjson.loads(out)["@timestamp"]) == written
    assert "0 of 1 line is of type elb" in err
    path.write_bytes(b"")
    assert decode("elb", path) == 0
    assert "no records in it" in capfd.readouterr().err


TYPE_OF_CASE = {
    "alb": "elb",
    "athena-alb": "elb",
    "elb": "elb",
    "flow": "vpcflow",
    "r53": "route53_resolver",
    "s3": "s3access",
    "waf": "waf",
    "cwl": "subscription",
    "containers": "subscription",
    "ec2": "subscription",
    "rds": "rds",
    "lambda": "cloudwatch",
}


@pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not on this machine")
@pytest.mark.parametrize("target", ["ecs", "splunk"])
def test_every_shared_case_is_answered(target, capfd):
    """Each file becomes documents, or is named with what to do; none is dated by now without a tag."""
    for path in sorted(path for path in CASES.rglob("*") if path.is_file()):
        matching = [name for prefix, name in TYPE_OF_CASE.items() if path.name.startswith(prefix)]
        code = decode(matching[-1] if matching else "cloudtrail", path, target)
        out, err = capfd.readouterr()
        assert out or err, path
        assert code == 0 or err, path
        assert "Traceback" not in err
