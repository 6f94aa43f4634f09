"""The `_bulk` request and its answer: documents in, what became of each of them out."""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple

import orjson

from shipper.errors import RetryableError
from shipper.model import Document, Rejection, SendResult
from shipper.sinks.elasticsearch_connection import Answer
from shipper.sinks.elasticsearch_refusals import setup_fault

# The statuses are asked for so that the items can be counted; all else is left out unless something went wrong.
FILTER = "filter_path=errors,items.*.status,items.*.error,items.*.failure_store"
STRICT_PREFIX = "shipper-"
_DAY_MS = 86_400_000
_LAST_MS = 253_402_300_799_000  # the end of the year 9999
_ANSWER_BYTES = 1000
_id, _index, _body = attrgetter("id"), attrgetter("index"), attrgetter("body")
_OPERATION_AND_LIMIT = re.compile(r"operation_bytes=(\d+), max_\w*bytes=(\d+)")
_FAILURE_STORE = "a pipeline or mapping failed, and the data stream's failure store has it (::failures)"
_STORED = b'{"create":{"status":201}}'
_HEAD, _TAIL = b'{"errors":false,"items":[', b"]}"


class Verdict(enum.Enum):
    """What an answer means for what was sent."""

    STORED = "newly stored"
    PRESENT = "there already, under our own id"
    RETRY = "not now"
    PAUSE = "not before a person acts"
    TOO_LARGE = "not in one piece"
    REJECT = "never"


class BulkResult(NamedTuple):
    """One attempt's result, and how many documents went into a failure store instead of their data stream."""

    result: SendResult
    failure_store: int = 0


def bulk_body(documents: Sequence[Document], *, strict: bool = False, sent: float | None = None) -> bytes:
    """Return the request's body: an action line and a source line for each document (`create`, never `index`).

    Args:
        strict: into indices named by the events' own days (`strict_index`), not into data streams.
        sent: when that is, in seconds since the epoch, for `event.ingested`: Elastic's rules look back by it, so that
            they see what comes late. Documents are the same whenever they are made, so that it is not theirs. None to
            leave it out.
    """
    if not documents:
        return b""
    count = len(documents)
    heads = _strict_heads(documents) if strict else _heads(documents)
    # Each of these is one step for all documents, which is several times faster than a step for each of them.
    parts: list[bytes | memoryview] = [b"\n"] * (5 * count)
    parts[0::5] = heads
    parts[1::5] = _in_json(list(map(_id, documents)))
    if sent is None:
        parts[2::5] = [b"}}\n"] * count
        parts[3::5] = map(_body, documents)
    else:
        parts[2::5] = [b'}}\n{"event.ingested":"%b",' % _stamp(sent)] * count
        parts[3::5] = [memoryview(body)[1:] for body in map(_body, documents)]
    return b"".join(parts)


def _stamp(moment: float) -> bytes:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()


def _heads(documents: Sequence[Document]) -> list[bytes]:
    names = list(map(_index, documents))
    heads = {name: _head(name) for name in set(names)}
    return [heads[names[0]]] * len(names) if len(heads) == 1 else [heads[name] for name in names]


def _strict_heads(documents: Sequence[Document]) -> list[bytes]:
    keys = [(document.index, document.time_ms // _DAY_MS) for document in documents]
    heads = {(index, day): _head(strict_index(index, day * _DAY_MS)) for index, day in set(keys)}
    return [heads[key] for key in keys]


def _head(index: str) -> bytes:
    return b'{"create":{"_index":%s,"_id":' % orjson.dumps(index)


def _in_json(texts: list[str]) -> list[bytes]:
    """Each text as JSON."""
    together = orjson.dumps(texts)
    if b"\\" in together:  # one of them may have quotes of its own
        return [orjson.dumps(text) for text in texts]
    return [b'"%b"' % text for text in together[2:-2].split(b'","')]


def strict_index(data_stream: str, time_ms: int) -> str:
    """Return the index that an event of this time belongs to for ever, whenever it is sent.

    Its name begins otherwise than the data stream's, because an index whose name matches a data stream's template
    cannot be made.

    Args:
        data_stream: such as `logs-aws.cloudtrail-default`.
        time_ms: the event's own time, milliseconds since the epoch.
    """
    day = datetime.fromtimestamp(min(max(time_ms, 0), _LAST_MS) / 1000, UTC)
    return f"{STRICT_PREFIX}{data_stream.removeprefix('logs-')}-{day:%Y.%m.%d}"


def read_answer(answer: Answer, documents: Sequence[Document], sent_bytes: int) -> BulkResult:
    """Return what became of each document, told by position.

    Args:
        sent_bytes: the request's size, uncompressed.

    Raises:
        RetryableError: the whole request was refused for now, or the answer does not account for every document.
    """
    if answer.status != 200:
        return BulkResult(_refused(answer, documents, sent_bytes))
    count = len(documents)
    if _all_stored(answer.body, count):
        return BulkResult(SendResult(delivered=count))
    try:
        items = orjson.loads(answer.body)["items"]
        outcomes = [next(iter(item.values())) for item in items]
        return _by_position(outcomes, count)
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration) as error:
        raise RetryableError(f"no answer to a bulk request: {answer.body[:200]!r}") from error


def classify(status: int, error_type: str) -> Verdict:
    """Say what a status and an error type mean, for one item of a bulk answer.

    Sources: Elastic's bulk API reference; the statuses were seen on 8.19 and 9.5. A block for a full disk comes as 429,
    one set by a person as 403; a missing index means that no template matches or that creating it is not allowed.
    """
    if status in (200, 201):
        return Verdict.STORED
    if status == 409:
        return Verdict.PRESENT
    if status in (401, 403) or error_type in (
        "cluster_block_exception",
        "index_closed_exception",
        "index_not_found_exception",
        "security_exception",
    ):
        return Verdict.PAUSE
    if status in (408, 425, 429) or status >= 500:
        return Verdict.RETRY
    return Verdict.TOO_LARGE if status == 413 else Verdict.REJECT


def _all_stored(body: bytes, count: int) -> bool:
    """The usual answer, compared byte by byte instead of parsed: exactly `count` items, each of them stored."""
    length = len(_HEAD) + count * (len(_STORED) + 1) - 1 + len(_TAIL)
    return len(body) == length and body == _HEAD + b",".join([_STORED] * count) + _TAIL


def _by_position(outcomes: Sequence[dict[str, Any]], count: int) -> BulkResult:
    if len(outcomes) != count:
        raise RetryableError(f"the answer has {len(outcomes)} items for {count} documents")
    stored = present = failure_store = 0
    rejected: list[Rejection] = []
    faults: list[Rejection] = []
    retry: list[int] = []
    reasons: list[str] = []
    paused = False
    for position, outcome in enumerate(outcomes):
        error = outcome.get("error") or {}
        verdict = classify(outcome["status"], error.get("type", ""))
        if verdict is Verdict.STORED:
            if outcome.get("failure_store") == "used":  # 201, and yet not where it belongs
                failure_store += 1
                rejected.append(Rejection(position, "failure_store", _FAILURE_STORE, stored=True))
            else:
                stored += 1
        elif verdict is Verdict.PRESENT:
            present += 1
        elif verdict in (Verdict.RETRY, Verdict.PAUSE):
            retry.append(position)
            reasons.append(_words(error) or f"status {outcome['status']}")
            paused = paused or verdict is Verdict.PAUSE
        else:
            kind = error.get("type") or f"status_{outcome['status']}"
            hint = setup_fault(outcome["status"], error)
            (faults if hint else rejected).append(Rejection(position, kind, _words(error), hint=hint))
            if hint:
                retry.append(position)
                reasons.append(f"{_words(error)}; {hint}")
                paused = True
    too_large = len(retry) == count and all(map(_never_fits, reasons))
    if too_large and count == 1:
        rejected, retry = [Rejection(0, "too_large", reasons[0])], []
    result = SendResult(
        delivered=stored,
        present=present,
        rejected=tuple(rejected),
        retry=tuple(retry),
        retry_reason=_most_frequent(reasons),
        too_large=too_large and count > 1,
        paused=paused,
        faults=tuple(faults),
    )
    return BulkResult(result, failure_store)


def _most_frequent(reasons: Sequence[str]) -> str:
    return Counter(reasons).most_common(1)[0][0] if reasons else ""


def _refused(answer: Answer, documents: Sequence[Document], sent_bytes: int) -> SendResult:
    kind, words = answer.error()
    said = f"HTTP {answer.status} {kind} {words}"[:_ANSWER_BYTES]
    verdict = classify(answer.status, kind)
    if verdict is Verdict.TOO_LARGE or _over_node_limit(words, len(documents), sent_bytes):
        if len(documents) == 1:
            return SendResult(delivered=0, rejected=(Rejection(0, kind or "too_large", said),))
        return SendResult(delivered=0, retry=tuple(range(len(documents))), retry_reason=said, too_large=True)
    # A refusal of the whole request (a bad path, a proxy's page) is no fault of the documents: never a dead letter.
    busy = answer.status == 429
    raise RetryableError(said, answer.retry_after, paused=verdict is not Verdict.RETRY, busy=busy)


def _over_node_limit(words: str, count: int, sent_bytes: int) -> bool:
    """Whether a node's indexing pressure limit is too small for this batch, however idle the node is.

    8.x names the whole operation's bytes; 9.x takes the request in pieces and names the last one only, so that several
    documents are halved when they alone would fill half of the limit.
    """
    limit = _OPERATION_AND_LIMIT.search(words)
    return limit is not None and (_never_fits(words) or (count > 1 and 2 * sent_bytes > int(limit[2])))


def _never_fits(words: str) -> bool:
    """Whether one operation is over a node's limit, which counts about four bytes for each that was sent."""
    found = _OPERATION_AND_LIMIT.search(words)
    return found is not None and int(found[1]) > int(found[2])


def _words(error: dict[str, Any]) -> str:
    """The server's own words and their causes, cut to a bound."""
    said: list[str] = []
    cause: Any = error
    while isinstance(cause, dict) and len(said) < 4:
        said.append(f"{cause.get('type', '')}: {cause.get('reason', '')}")
        cause = cause.get("caused_by")
    return "; caused by ".join(said)[:_ANSWER_BYTES] if error else ""
