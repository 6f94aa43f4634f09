"""`shipper trace`: where a document came from, and what each sink said to it."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import click

from shipper.commands import DONE, FAILED, config_option, quiet_log
from shipper.errors import RetryableError
from shipper.escaping import printable
from shipper.refusals import in_words

if TYPE_CHECKING:
    from shipper.config import Settings, SplunkHecSink

_ID_BYTES = 18
_ELSEWHERE = {
    "splunk_hec": 'not asked, for want of search_url: search Splunk for event_uid="{id}"',
    "splunk_raw": "not asked: events of the raw endpoint have no ids",
    "archive": "not asked: the archive's files are named by split",
}


class _Locates(Protocol):
    def locate(self, document_id: str) -> list[dict[str, Any]]: ...

    def close(self) -> None: ...


@click.command()
@config_option()
@click.argument("document_id")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def trace(file: Path, document_id: str, *, as_json: bool) -> int:
    """Say where the document with this id came from and how it ended in each sink.

    Searches the Elasticsearch sinks, Splunk where search_url is set, and the dead letters. Exit code 1 where it is
    found nowhere, or a sink cannot be asked.
    """
    from shipper import config

    quiet_log()
    settings = config.load(file)
    found: dict[str, Any] = {
        "document_id": document_id,
        "event_time": _event_time(document_id),
        "dead_letters": _letters(settings, document_id),
        "sinks": {name: _sink(settings, name, document_id) for name in settings.sinks},
    }
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(map(printable, _lines(found))))
    somewhere = found["dead_letters"] or any(sink.get("stored") for sink in found["sinks"].values())
    failed = any("error" in sink for sink in found["sinks"].values())
    return DONE if somewhere and not failed else FAILED


def _event_time(document_id: str) -> str | None:
    """The event's own time, which the id begins with (`model.document_id`); None where it is no id of ours."""
    try:
        raw = base64.urlsafe_b64decode(document_id)
        if len(raw) != _ID_BYTES:
            return None
        return datetime.fromtimestamp(int.from_bytes(raw[:6], "big") / 1000, UTC).isoformat(timespec="milliseconds")
    except (binascii.Error, ValueError, OverflowError, OSError):
        return None


def _letters(settings: Settings, document_id: str) -> list[dict[str, Any]]:
    from shipper import build
    from shipper.commands.letters import as_object
    from shipper.deadletters.sqlite import Wanted

    if not (settings.state.path / build.DEAD_LETTERS_FILE).exists():
        return []
    store = build.dead_letters(settings)
    try:
        return [as_object(letter) for letter in store.letters(Wanted(document_id=document_id))]
    finally:
        store.close()


def _sink(settings: Settings, name: str, document_id: str) -> dict[str, Any]:
    from shipper import build
    from shipper.metrics import Metrics

    chosen = settings.sinks[name]
    if chosen.type == "splunk_hec":
        return _splunk(name, chosen, document_id)
    if chosen.type != "elasticsearch":
        return {"note": _ELSEWHERE[chosen.type]}
    only = settings.model_copy(update={"sinks": {name: settings.sinks[name]}})
    sink = cast("_Locates", build.sinks(only, Metrics())[name])
    try:
        hits = sink.locate(document_id)
    except RetryableError as error:
        return {"error": str(error)}
    finally:
        sink.close()
    return {"stored": [{"index": hit["_index"], **hit.get("_source", {})} for hit in hits]}


def _splunk(name: str, chosen: SplunkHecSink, document_id: str) -> dict[str, Any]:
    from shipper.build.sinks import splunk_recount

    recount = splunk_recount(name, chosen)
    if recount is None:
        return {"note": _ELSEWHERE["splunk_hec"].replace("{id}", document_id)}
    if not recount.by_id:
        return {"note": _ELSEWHERE["splunk_raw"]}
    try:
        return {"stored": recount.locate(document_id)}
    except RetryableError as error:
        return {"error": str(error)}


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [f"document {found['document_id']}, event of {found['event_time'] or 'unknown time'}"]
    for name, sink in found["sinks"].items():
        if "note" in sink or "error" in sink:
            lines.append(f"  {name}: {sink.get('note') or 'cannot be asked: ' + sink['error']}")
            continue
        if not sink["stored"]:
            lines.append(f"  {name}: not stored, or within the last refresh interval")
        for hit in sink["stored"]:
            lines.append(f"  {name}: {_stored(hit)}")
            if "mapping_conflict" in (hit.get("tags") or []):
                lines.append(f"  {name}: repaired: what its mapping refused is under unmapped")
    return [*lines, *map(_letter, found["dead_letters"])]


def _letter(letter: dict[str, Any]) -> str:
    record = "" if letter["position"] is None else f" record {letter['position']}"
    where = f"dead letter {letter['id']} of {letter['uri']}{record}, split {letter['split']}"
    return f"  {letter['sink'] or 'every sink'}: {where}: {in_words(letter['reason'], letter['answer'])}"


def _stored(hit: dict[str, Any]) -> str:
    if "index" in hit:
        return f"stored in {hit['index']}, from {_origin(hit)}"
    times = f", {hit['events']} times" if hit["events"] > 1 else ""
    return f"stored{times}, from {hit['source']}"


def _origin(hit: dict[str, Any]) -> str:
    """Return in words what the document itself says of its source."""
    group = _value(hit, "awscloudwatch", "log_group") or _value(hit, "aws", "cloudwatch", "log_group")
    stream = _value(hit, "awscloudwatch", "log_stream") or _value(hit, "aws", "cloudwatch", "log_stream")
    bucket, key = (_value(hit, "aws", "s3", *path) for path in (("bucket", "name"), ("object", "key")))
    if group:
        where = f"log group {group}" + (f", stream {stream}" if stream else "")
    else:
        where = _value(hit, "log", "file", "path") or (f"s3://{bucket}/{key}" if bucket and key else "")
    if not where:
        return "an origin that it does not name"
    about = {"account": _value(hit, "cloud", "account", "id"), "region": _value(hit, "cloud", "region")}
    return where + "".join(f", {name} {value}" for name, value in about.items() if value)


def _value(node: Any, *path: str) -> str:
    """Return the text or number at a path of objects; "" if there is none."""
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    return str(node) if isinstance(node, str | int) else ""
