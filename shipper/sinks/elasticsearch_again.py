"""Looks for documents that may be stored already, in all backing indices of a data stream that can hold them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import Document, Problem
from shipper.ports import Clock, wall_clock
from shipper.sinks.elasticsearch_connection import Answer, Connection

_NAME = re.compile(r"-(?:(?P<day>\d{4}\.\d{2}\.\d{2})-)?(?P<generation>\d{6,})$")
_DAY_SECONDS = 86_400.0
# Clocks differ, and a request that was on its way at a rollover is stored a moment after it.
_LEEWAY_SECONDS = _DAY_SECONDS
# A search sees what was refreshed, and an index that was rolled over so long ago surely was. Of younger ones, the
# documents are fetched one by one, which sees all that is stored.
_REFRESHED_SECONDS = 3600.0
_NEWEST = 2
_MGET_ITEMS = 10_000
_SEARCH_IDS = 1_000
_SEARCH_HITS = 10_000  # index.max_result_window
_SETTINGS = "index.creation_date,index.verified_before_close"
_ABSENT = frozenset({"index_not_found_exception"})
_UNREADABLE = frozenset({"index_closed_exception", "security_exception"})
_HINT = (
    "give the credentials the privileges read and view_index_metadata, as `shipper setup elasticsearch --show-role` "
    "prints them: without them, what is shipped again after a rollover is stored twice"
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Backing:
    """One backing index.

    Attributes:
        until: all that is in it was stored before this moment: seconds since the epoch.
    """

    name: str
    until: float
    closed: bool


class Again:
    """Finds documents by their ids. Called from many threads.

    An id is unique within a backing index only: what was stored before a rollover would be stored again in the next
    index (https://github.com/elastic/elasticsearch/issues/44794).

    Args:
        sink: its name.
        metrics: counts what could not be looked for.
    """

    def __init__(
        self, connection: Connection, sink: str = "", metrics: Metrics | None = None, clock: Clock = wall_clock
    ) -> None:
        self._connection = connection
        self._sink = sink
        self._metrics = metrics
        self._clock = clock
        self._warned = False

    def held(self, documents: Sequence[Document], since: float) -> set[str]:
        """Return the ids of those that are stored. What the cluster does not let us look for is counted.

        Args:
            since: no document was stored earlier, in seconds since the epoch.

        Raises:
            RetryableError: the cluster does not answer, or not for all indices.
        """
        streams: dict[str, list[str]] = {}
        for document in documents:
            streams.setdefault(document.index, []).append(document.id)
        earliest = min(since, self._clock()) - _LEEWAY_SECONDS
        found: set[str] = set()
        for stream, ids in streams.items():
            try:
                found |= self._of_stream(stream, list(dict.fromkeys(ids)), earliest)
            except _UnreadableError as error:
                self._not_looked_up(len(ids), stream, str(error))
        return found

    def problems(self, where: str, names: str) -> Iterator[Problem]:
        """Try both requests on the data streams there are, changing nothing.

        Raises:
            RetryableError: the cluster does not answer.
        """
        searched = f"/{names}/_search?ignore_unavailable=true&filter_path=hits.total"
        for method, path, body in (
            ("GET", f"/{names}/_settings/{_SETTINGS}?filter_path=*.settings", None),
            ("POST", searched, b'{"size":0}'),
        ):
            answer = self._connection.request(method, path, body)
            if answer.status == 403:
                what = f"the credentials may not look for stored documents: {' '.join(answer.error())}"
                yield Problem(where, what, _HINT, serious=False)
                return

    def _of_stream(self, stream: str, ids: Sequence[str], earliest: float) -> set[str]:
        backing = self._backing(stream)
        if len(backing) <= 1:  # the answer to `create` tells by itself
            return set()
        within = [each for each in backing if each.until >= earliest]
        if closed := [each.name for each in within if each.closed]:
            self._not_looked_up(len(ids), stream, f"closed indices are not searched: {', '.join(closed[:3])}")
        within = [each for each in within if not each.closed]
        refreshed = self._clock() - _REFRESHED_SECONDS
        old = [each.name for each in within[:-_NEWEST] if each.until < refreshed]
        new = [each.name for each in within if each.name not in old]
        found = self._get(new, ids)
        left = [each for each in ids if each not in found]
        return found | (self._search(stream, old, left) if old else set())

    def _backing(self, stream: str) -> list[_Backing]:
        """The data stream's backing indices, oldest first; empty where there is no such data stream yet."""
        answer = self._ask("GET", f"/{stream}/_settings/{_SETTINGS}?expand_wildcards=all&filter_path=*.settings")
        return _in_order(answer.json()) if answer.status == 200 else []

    def _get(self, names: Sequence[str], ids: Sequence[str]) -> set[str]:
        """Ask for each document in each index, in real time: no refresh is needed for `_mget`."""
        found: set[str] = set()
        step = max(_MGET_ITEMS // max(len(names), 1), 1)
        for first in range(0, len(ids), step):
            wanted = [
                {"_index": name, "_id": each, "_source": False} for each in ids[first : first + step] for name in names
            ]
            answer = self._ask(
                "POST",
                "/_mget?realtime=true&filter_path=docs._id,docs.found,docs.error.type",
                orjson.dumps({"docs": wanted}),
            )
            docs = answer.json().get("docs", [])
            _check_each(docs)
            found.update(each["_id"] for each in docs if each.get("found"))
        return found

    def _search(self, stream: str, names: Sequence[str], ids: Sequence[str]) -> set[str]:
        """Search the indices that are written no more, which is one request for all of them."""
        found: set[str] = set()
        pieces = [ids[first : first + _SEARCH_IDS] for first in range(0, len(ids), _SEARCH_IDS)]
        while pieces:
            piece = pieces.pop()
            hits = self._hits(stream, names, piece)
            held = {hit["_id"] for hit in hits.get("hits", ())}
            if len(hits.get("hits", ())) == _SEARCH_HITS and len(held) < len(piece) and len(piece) > 1:
                pieces += [piece[::2], piece[1::2]]  # stored so often that not all hits are in the answer
            found |= held
        return found

    def _hits(self, stream: str, names: Sequence[str], ids: Sequence[str]) -> dict[str, Any]:
        filters = [{"ids": {"values": ids}}, {"terms": {"_index": names}}]
        wanted = {"size": _SEARCH_HITS, "_source": False, "query": {"bool": {"filter": filters}}}
        # A part of the shards is no answer: what the others hold would be stored again.
        options = "allow_partial_search_results=false&ignore_unavailable=true"
        path = f"/{stream}/_search?{options}&filter_path=timed_out,_shards.failed,hits.hits._id"
        answer = self._ask("POST", path, orjson.dumps(wanted)).json()
        if answer.get("timed_out") or answer.get("_shards", {}).get("failed"):
            raise RetryableError(f"{stream} was searched in a part of its shards only")
        hits: dict[str, Any] = answer.get("hits", {})
        return hits

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Return the answer, which is 200 or, where there is no such thing, 404.

        Raises:
            RetryableError: the cluster cannot say now.
            _UnreadableError: it will not say.
        """
        answer = self._connection.request(method, path, body)
        if answer.status in (200, 404):
            return answer
        words = f"HTTP {answer.status} {' '.join(answer.error())}"
        if answer.status == 429 or answer.status >= 500:
            raise RetryableError(words, answer.retry_after)
        raise _UnreadableError(words)

    def _not_looked_up(self, number: int, stream: str, why: str) -> None:
        if self._metrics:
            self._metrics.events_not_looked_up.labels(self._sink).inc(number)
        if not self._warned:  # once for each process: the metric says how often
            self._warned = True
            log.warning(
                "documents cannot be looked for before they are stored, and may be stored twice",
                sink=self._sink,
                stream=stream,
                why=why,
                hint=_HINT,
            )


class _UnreadableError(Exception):
    """The cluster does not let these credentials look."""


def _in_order(settings: Mapping[str, Any]) -> list[_Backing]:
    """Backing indices by generation. Each one is written until the next one is made."""
    named = sorted((int(parts[2]), name, parts[1]) for name in settings if (parts := _NAME.search(name)))
    backing: list[_Backing] = []
    until = float("inf")
    for _, name, day in reversed(named):
        index = settings[name]["settings"]["index"]
        backing.append(_Backing(name, until, str(index.get("verified_before_close")) == "true"))
        until = min(until, _made(index, day))
    return backing[::-1]


def _made(index: Mapping[str, Any], day: str | None) -> float:
    """When an index was made, at the latest: one that was shrunk since is younger than its name says."""
    made = float(index["creation_date"]) / 1000
    if day:
        made = min(made, datetime.strptime(day, "%Y.%m.%d").replace(tzinfo=UTC).timestamp() + _DAY_SECONDS)
    return made


def _check_each(docs: Sequence[Mapping[str, Any]]) -> None:
    """Refuse an answer that leaves documents open.

    Raises:
        RetryableError: a shard did not answer.
        _UnreadableError: an index may not be read.
    """
    kinds = {str(each["error"].get("type", "")) for each in docs if "error" in each} - _ABSENT
    if kinds & _UNREADABLE:
        raise _UnreadableError(", ".join(sorted(kinds)))
    if kinds:
        raise RetryableError(f"documents cannot be looked for now: {', '.join(sorted(kinds))}")
