"""Finds documents that stand in several backing indices of a data stream under the same id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from shipper.model import Doubled

_PATH = "log.file.path"
_BUCKETS = 1_000
_HITS = 10_000  # index.max_result_window
_TIME = "@timestamp"
_NAMED_IDS = 10

Search = Callable[[Mapping[str, Any], str], dict[str, Any]]
"""Searches all backing indices: the request's body, and the parts of the answer that are needed."""
Filters = list[dict[str, Any]]


class DoubleSearch:
    """An id is unique within an index, so that only what lies in several indices is compared id by id."""

    def __init__(self, search: Search) -> None:
        self._search = search

    def of_paths(self, paths: Sequence[str]) -> dict[str, Doubled]:
        """Return the doubles of objects by their addresses; those without any are left out."""
        found: dict[str, Doubled] = {}
        for path in self._in_several_indices([{"terms": {_PATH: list(paths)}}], _PATH):
            doubled = self._compared([{"term": {_PATH: path}}])
            if doubled.extra:
                found[path] = doubled
        return found

    def of(self, filters: Filters) -> Doubled:
        """Return the doubles among the documents that all filters match."""
        several = next(self._in_several_indices(filters, None), None) is not None
        return self._compared(filters) if several else Doubled()

    def _in_several_indices(self, filters: Filters, field: str | None) -> Iterator[str]:
        """Yield the values of a field whose documents lie in several indices; "" for all of them without a field."""
        sources: list[dict[str, Any]] = [{"index": {"terms": {"field": "_index"}}}]
        if field is not None:
            sources.insert(0, {"value": {"terms": {"field": field}}})
        composite: dict[str, Any] = {"size": _BUCKETS, "sources": sources}
        wanted = {
            "size": 0,
            "track_total_hits": False,
            "query": {"bool": {"filter": filters}},
            "aggs": {"places": {"composite": composite}},
        }
        last: str | None = None
        told = False
        while True:
            part = self._search(wanted, "aggregations").get("aggregations", {}).get("places", {})
            for bucket in part.get("buckets", ()):
                value = bucket["key"].get("value", "")
                if value == last and not told:
                    told = True
                    yield value
                elif value != last:
                    last, told = value, False
            if not part.get("after_key"):
                return
            composite["after"] = part["after_key"]

    def _compared(self, filters: Filters) -> Doubled:
        """Count each id. Copies of a document have the same time, so that spans of time are compared one by one."""
        stored = extra = 0
        ids: list[str] = []
        spans: list[tuple[int, int] | None] = [None]
        while spans:
            span = spans.pop()
            answer = self._ids([*filters, _within(span)] if span else filters)
            hits = [hit["_id"] for hit in answer["hits"].get("hits", ())]
            total = int(answer["hits"]["total"]["value"])
            if total > len(hits) and (halves := _halves(answer)):
                spans += halves
                continue
            copies = Counter(hits)
            stored += len(hits)
            extra += len(hits) - len(copies)
            ids += [each for each, number in copies.items() if number > 1]
            ids = sorted(ids)[:_NAMED_IDS]
        return Doubled(stored, extra, tuple(ids))

    def _ids(self, filters: Filters) -> dict[str, Any]:
        wanted = {
            "size": _HITS,
            "_source": False,
            "track_total_hits": True,
            "query": {"bool": {"filter": filters}},
            "aggs": {name: {name: {"field": _TIME}} for name in ("min", "max")},
        }
        answer = self._search(wanted, "hits.total,hits.hits._id,aggregations")
        answer.setdefault("hits", {}).setdefault("total", {"value": 0})
        return answer


def _within(span: tuple[int, int]) -> dict[str, Any]:
    first, last = span
    return {"range": {_TIME: {"gte": first, "lte": last, "format": "epoch_millis"}}}


def _halves(answer: Mapping[str, Any]) -> list[tuple[int, int] | None]:
    """Two spans instead of one; empty where all documents have the same time: what is in the answer is compared."""
    bounds = answer.get("aggregations", {})
    first, last = (bounds.get(name, {}).get("value") for name in ("min", "max"))
    if first is None or last is None or int(first) >= int(last):
        return []
    middle = (int(first) + int(last)) // 2
    return [(int(first), middle), (middle + 1, int(last))]
