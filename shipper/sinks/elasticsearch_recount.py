"""Asks a cluster which documents it holds: counted by the object they came from, and one by one by their ids."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from shipper.errors import RetryableError
from shipper.model import Document, Doubled, S3Split
from shipper.sinks.elasticsearch_bulk import STRICT_PREFIX, strict_index
from shipper.sinks.elasticsearch_connection import Connection
from shipper.sinks.elasticsearch_doubles import DoubleSearch

# index.max_terms_count is 65,536, and search.max_buckets 65,536 too: both far above.
_MOST_PATHS = 1_000
# index.max_result_window is 10,000; a document that a rollover doubled is a hit more.
_MOST_IDS = 1_000
_MOST_HITS = 10_000
_DAY_SECONDS = 86_400.0
_PATH = "log.file.path"
_GROUP = "awscloudwatch.log_group"
# A part of the shards is no answer here: what the others hold would look like a loss.
_WHOLE = "allow_partial_search_results=false&ignore_unavailable=true"
_BACKING = re.compile(r"\.ds-(?P<stream>.+?)-(?:(?P<day>\d{4}\.\d{2}\.\d{2})-)?(?P<generation>\d{6,})$")
_STRICT = re.compile(rf"{STRICT_PREFIX}(?P<stream>.+)-(?P<day>\d{{4}}\.\d{{2}}\.\d{{2}})$")


class _UncountableError(RetryableError):
    """The field is mapped as something that cannot be counted by, which is no reason to give up: ids can be asked."""

    def __init__(self) -> None:
        super().__init__("the cluster refuses the search")


class ElasticsearchRecount:
    """Implements `ports.Recount` by searches, which see what is older than the refresh interval.

    Args:
        names: the pattern of data streams or indices that hold the documents.
    """

    by_id = True
    doubles = False

    def __init__(self, connection: Connection, names: str) -> None:
        self._connection = connection
        self._names = names
        self._oldest: dict[str, float] | None = None

    def count(self, splits: Sequence[S3Split]) -> list[int | None]:
        """See ports.Recount. Documents carry the address of their object in `log.file.path`."""
        paths = sorted({item.uri for split in splits for item in split.objects})
        found: dict[str, int] = {}
        for first in range(0, len(paths), _MOST_PATHS):
            try:
                found.update(self._count_paths(paths[first : first + _MOST_PATHS]))
            except _UncountableError:
                return [None] * len(splits)
        return [sum(found.get(item.uri, 0) for item in split.objects) for split in splits]

    def count_events(self, region: str, group: str, first_ms: int, last_ms: int) -> int | None:
        """See ports.Recount."""
        filters = _of_group(region, group, first_ms, last_ms)
        wanted = {"size": 0, "track_total_hits": True, "query": {"bool": {"filter": filters}}}
        try:
            return _total(self._search(wanted, "hits.total").get("hits", {}))
        except _UncountableError:
            return None

    def doubled(self, paths: Sequence[str]) -> dict[str, Doubled]:
        """See ports.Recount. In strict mode an event has one index for ever."""
        found: dict[str, Doubled] = {}
        if self._names.startswith(STRICT_PREFIX):
            return found
        for first in range(0, len(paths), _MOST_PATHS):
            try:
                found |= DoubleSearch(self._search).of_paths(paths[first : first + _MOST_PATHS])
            except _UncountableError:
                return found
        return found

    def doubled_events(self, region: str, group: str, first_ms: int, last_ms: int) -> Doubled:
        """See ports.Recount."""
        if self._names.startswith(STRICT_PREFIX):
            return Doubled()
        try:
            return DoubleSearch(self._search).of(_of_group(region, group, first_ms, last_ms))
        except _UncountableError:
            return Doubled()

    def missing(self, documents: Sequence[Document]) -> list[int]:
        """See ports.Recount."""
        held: set[str] = set()
        ids = sorted({document.id for document in documents})
        for first in range(0, len(ids), _MOST_IDS):
            held |= self._held(ids[first : first + _MOST_IDS])
        return [position for position, document in enumerate(documents) if document.id not in held]

    def expired(self, index: str, time_ms: int, stored_at: float) -> bool:
        """See ports.Recount.

        A backing index takes what comes until the next one is made, so all that was stored before the oldest one that
        is left was made has been deleted with its own. In strict mode an index holds a day.
        """
        if self._oldest is None:
            self._oldest = self._beginnings()
        strict = self._names.startswith(STRICT_PREFIX)
        oldest = self._oldest.get(_STRICT.sub(r"\g<stream>", strict_index(index, time_ms)) if strict else index)
        if oldest is None:
            return False
        return (time_ms / 1000 if strict else stored_at) < oldest

    def _count_paths(self, paths: Sequence[str]) -> dict[str, int]:
        source = {"path": {"terms": {"field": _PATH}}}
        composite: dict[str, Any] = {"size": _MOST_PATHS, "sources": [source]}
        wanted = {
            "size": 0,
            "track_total_hits": False,
            "query": {"terms": {_PATH: paths}},
            "aggs": {"paths": {"composite": composite}},
        }
        found: dict[str, int] = {}
        while True:
            answer = self._search(wanted, "aggregations")
            part = answer.get("aggregations", {}).get("paths", {})
            found.update((bucket["key"]["path"], bucket["doc_count"]) for bucket in part.get("buckets", ()))
            if not part.get("after_key"):
                return found
            composite["after"] = part["after_key"]

    def _held(self, ids: Sequence[str]) -> set[str]:
        wanted = {"size": _MOST_HITS, "_source": False, "query": {"ids": {"values": ids}}, "track_total_hits": True}
        hits = self._search(wanted, "hits.total,hits.hits._id").get("hits", {})
        found = {hit["_id"] for hit in hits.get("hits", ())}
        if _total(hits) > _MOST_HITS and len(found) < len(ids):
            raise RetryableError(f"{len(ids)} documents are stored {_total(hits)} times: they cannot be told apart")
        return found

    def _search(self, wanted: Mapping[str, Any], parts: str) -> dict[str, Any]:
        path = f"/{self._names}/_search?{_WHOLE}&filter_path=error,timed_out,_shards.failed,{parts}"
        answer = self._connection.request("POST", path, orjson.dumps(wanted))
        if answer.status == 400:
            raise _UncountableError
        said = answer.json()
        if answer.status != 200:
            raise RetryableError(f"HTTP {answer.status} {' '.join(answer.error())}", paused=answer.status in (401, 403))
        if said.get("timed_out") or said.get("_shards", {}).get("failed"):
            raise RetryableError("the cluster answered for a part of its shards only")
        return said

    def _beginnings(self) -> dict[str, float]:
        """By data stream, since when it has kept all: seconds since the epoch. Those that lost nothing are left out."""
        answer = self._connection.request(
            "GET", f"/{self._names}/_settings/index.creation_date?expand_wildcards=open,closed,hidden"
        )
        if answer.status != 200:
            raise RetryableError(f"HTTP {answer.status} {' '.join(answer.error())}", paused=answer.status in (401, 403))
        oldest: dict[str, tuple[int, float]] = {}
        for name, settings in answer.json().items():
            for stream, order, begun in _begun(name, settings):
                if stream not in oldest or (order, begun) < oldest[stream]:
                    oldest[stream] = (order, begun)
        # Generation 1 means that nothing was deleted yet; a strict index (0) tells of its own day only.
        return {stream: begun for stream, (order, begun) in oldest.items() if order != 1}


def _of_group(region: str, group: str, first_ms: int, last_ms: int) -> list[dict[str, Any]]:
    """Filters for a log group's documents of a span."""
    span = {"range": {"@timestamp": {"gte": first_ms, "lte": last_ms, "format": "epoch_millis"}}}
    return [span, {"term": {_GROUP: group}}, {"term": {"cloud.region": region}}]


def _begun(name: str, settings: Mapping[str, Any]) -> Iterator[tuple[str, int, float]]:
    """Of an index: its stream, its place in it, and when what it holds began."""
    if strict := _STRICT.fullmatch(name):
        yield strict["stream"], 0, _start(strict["day"])
        return
    backing = _BACKING.search(name)  # a searchable snapshot's name has something before it
    if backing is None:
        return
    made = float(settings["settings"]["index"]["creation_date"]) / 1000
    if backing["day"]:  # an index that was moved or shrunk was made anew, under its old name
        made = min(made, _start(backing["day"]) + _DAY_SECONDS)
    yield backing["stream"], int(backing["generation"]), made


def _start(day: str) -> float:
    return datetime.strptime(day, "%Y.%m.%d").replace(tzinfo=UTC).timestamp()


def _total(hits: Mapping[str, Any]) -> int:
    total = hits.get("total", 0)
    return int(total["value"] if isinstance(total, dict) else total)
