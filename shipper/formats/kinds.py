"""What a text is that is no log of the configured type: exports, notifications, pages. With what to do about it.

Sources: the documentation of the commands and services that write them; `decode` and dead letters show it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from shipper.access_layouts import APPLICATION, CONNECTION, NETWORK, S3
from shipper.flow_layouts import KNOWN_FIELDS


@dataclass(frozen=True, slots=True)
class Kind:
    """What a text is.

    Attributes:
        name: with its article, such as "an EventBridge event".
        advice: what to do.
        logs: the log type that reads it; "" where none does.
        table: it is a table with a header, which no application's log looks like.
    """

    name: str
    advice: str
    logs: str = ""
    table: bool = False


_ORIGINAL = "point the source at the objects that AWS itself writes"
_OBJECT = "it names objects and is none of them: send it to an SQS queue, and set `queue` instead of `bucket`"


def _read_as(logs: str) -> str:
    return f"set `logs: {logs}`"


# The first whose names are all in the beginning counts; names stand in quotes.
_DOCUMENTS: tuple[tuple[tuple[str, ...], Kind], ...] = (
    (
        ("EventId", "CloudTrailEvent"),
        Kind(
            "what `aws cloudtrail lookup-events` prints",
            f"its records are texts in CloudTrailEvent: {_ORIGINAL}, or take them out with `jq -r"
            " '.Events[].CloudTrailEvent'`",
        ),
    ),
    (("QueryResultRows",), Kind("a page of query results of CloudTrail Lake (get-query-results)", _ORIGINAL)),
    (("ResultSet", "Rows"), Kind("a page of query results of Athena (get-query-results)", _ORIGINAL)),
    (
        ("results", "field", "value"),
        Kind("a page of query results of CloudWatch Logs Insights (get-query-results)", _ORIGINAL),
    ),
    (("s3:TestEvent",), Kind("S3's test notification", "it can be deleted: it only says that notifications arrive")),
    (("Type", "MessageId", "TopicArn"), Kind("an SNS message", _OBJECT)),
    (("receiptHandle", "body"), Kind("an SQS message", _OBJECT)),
    (("ReceiptHandle", "Body"), Kind("an SQS message", _OBJECT)),
    (("eventSource", "aws:s3"), Kind("an S3 notification", _OBJECT)),
    (("detail-type", "detail"), Kind("an EventBridge event", f"its record is in `detail`: {_ORIGINAL}")),
    (("detail-type", "source"), Kind("an EventBridge event", f"its record is in `detail`: {_ORIGINAL}")),
    (("_index", "_source"), Kind("an export of Elasticsearch", f"it was shipped once already: {_ORIGINAL}")),
    (("preview", "result"), Kind("an export of Splunk", f"it was shipped once already: {_ORIGINAL}")),
    (("_raw", "_time"), Kind("an export of Splunk", f"it was shipped once already: {_ORIGINAL}")),
    (("fileSchema", "sourceBucket"), Kind("an S3 Inventory manifest", "leave its prefix out")),
    (("configurationItems",), Kind("a snapshot or history of AWS Config", "leave its prefix out: it is no log")),
    (
        ("messageType", "logEvents"),
        Kind("what a subscription filter delivers", _read_as("subscription"), "subscription"),
    ),
    (
        ("events", "logStreamName"),
        Kind("what `aws logs filter-log-events` prints", _read_as("cloudwatch"), "cloudwatch"),
    ),
    (("digestS3Object",), Kind("a CloudTrail digest file", _read_as("cloudtrail"), "cloudtrail")),
    (("webaclId", "terminatingRuleId"), Kind("a log of AWS WAF", _read_as("waf"), "waf")),
    (
        ("query_timestamp", "query_name"),
        Kind("a query log of Route 53 Resolver", _read_as("route53_resolver"), "route53_resolver"),
    ),
    (("audit.k8s.io/", "auditID"), Kind("an audit log of Kubernetes", _read_as("eks"), "eks")),
    (
        ("eventVersion", "eventSource", "eventName"),
        Kind("a CloudTrail log", _read_as("cloudtrail"), "cloudtrail"),
    ),
)
_DOCUMENT_START = re.compile(rb"\s*[\[{]")
_HTML = re.compile(rb"\s*<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
_XML = re.compile(rb"\s*<(?:\?xml|[A-Za-z][\w:.-]{0,100}[\s/>])")
_ERROR_CODE = re.compile(rb"<Code>([A-Za-z.]{1,64})</Code>")
_NAME = re.compile(r"@?[A-Za-z][\w @.:/-]{0,63}")
_MOST_COLUMNS = 400
_CONSOLE = frozenset({"event name", "event time", "event source", "user name", "event id"})
_LAKE = frozenset(
    {
        *("eventversion", "eventtime", "eventname", "eventsource", "eventid", "useridentity", "awsregion"),
        *("sourceipaddress", "useragent", "requestparameters", "responseelements", "recipientaccountid"),
    }
)
_INSIGHTS = frozenset({"@timestamp", "@message", "@logstream", "@log", "@ptr", "@ingestiontime"})
_EXPORTED = ({"timestamp", "message"}, {"timestamp", "message", "logstreamname"})
_TABLES = frozenset(
    name.replace("-", "_")
    for names in (
        *(APPLICATION, NETWORK, CONNECTION, S3, KNOWN_FIELDS, _LAKE),
        *(("client_ip", "client_port", "target_ip", "request_verb", "request_url", "request_proto", "lb_arn"),),
        *(("bucketowner", "bucket_name", "requestdatetime", "remoteip", "requestid", "objectsize", "totaltime"),),
        *(("webaclid", "terminatingruleid", "httprequest", "httpsourcename", "formatversion"),),
        *(("query_name", "query_type", "query_timestamp", "rcode", "answers", "interface_id", "account_id"),),
    )
    for name in names
)


def kind_of(head: bytes) -> Kind | None:
    """Return what a text is, by its beginning; None where it is not known, or may be a log of any type.

    Args:
        head: some kilobytes. Takes time linear in its length.
    """
    return next((found for tell in _TELLERS if (found := tell(head)) is not None), None)


def _document(head: bytes) -> Kind | None:
    if not _DOCUMENT_START.match(head):
        return None
    return next((kind for names, kind in _DOCUMENTS if all(_is_named(head, name) for name in names)), None)


def _is_named(head: bytes, name: str) -> bool:
    quoted = f'"{name}' if name.endswith("/") else f'"{name}"'
    return quoted.encode() in head


def _page(head: bytes) -> Kind | None:
    if _HTML.match(head):
        return Kind(
            "an HTML page", "something on the way answered in the place of AWS, such as a proxy: fetch it again"
        )
    if not _XML.match(head):
        return None
    code = _ERROR_CODE.search(head)
    if code is not None:
        return Kind(
            f"an error of S3 as XML ({code[1].decode()})", "the upload was of an answer: fetch the object again"
        )
    return Kind("an XML document", _ORIGINAL)


def _table(head: bytes) -> Kind | None:
    """A table's header in the first line: of exports, since AWS's own logs have none with commas."""
    line = head.lstrip().split(b"\n", 1)[0].decode("utf-8", "replace").strip()
    if line.startswith(("#Version:", "#Fields:")):
        return Kind("an access log of CloudFront", "this log type is not supported: leave its prefix out", table=True)
    mark = next((mark for mark in (",", "\t", ";") if mark in line), None)
    names = [each.strip().strip('"').lower() for each in line.split(mark, _MOST_COLUMNS)] if mark else []
    if len(names) < 2 or not all(_NAME.fullmatch(name) for name in names):
        return None
    plain, canonical = set(names), {name.replace("-", "_") for name in names}
    source = _source_of_table(plain, canonical)
    return Kind(f"a CSV table ({source})", _ORIGINAL, table=True) if source else None


def _source_of_table(plain: set[str], canonical: set[str]) -> str:
    if len(plain & _CONSOLE) > 1:
        return "CloudTrail's event history, saved from the console"
    if plain & _INSIGHTS:
        return "results of CloudWatch Logs Insights"
    if plain in _EXPORTED:
        return "log events, saved from the CloudWatch console"
    if len(plain & _LAKE) > 1:
        return "query results of Athena or CloudTrail Lake"
    return "query results, such as Athena's" if len(canonical & _TABLES) > 1 else ""


def _binary(head: bytes) -> Kind | None:
    strange = sum(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in head)
    if not strange or strange * 20 < len(head):
        return None
    return Kind("binary data", "it is no text, nor compressed with gzip: leave it out of the prefix")


_TELLERS: tuple[Callable[[bytes], Kind | None], ...] = (_document, _page, _table, _binary)
