"""Asks Splunk which events it holds: `tstats` over the indexed fields `source` and `event_uid`, by the search API.

https://docs.splunk.com/Documentation/Splunk/latest/RESTREF/RESTsearch#search.2Fjobs (exec_mode=oneshot answers with the
results themselves), https://docs.splunk.com/Documentation/Splunk/latest/SearchReference/Tstats
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import Document, Doubled, S3Split
from shipper.sinks.splunk_hec_connection import HecServers, Links

_PATH = "/services/search/jobs"
# A search's text is bounded, and so is the answer (1 MB): a key has 1,024 bytes at most, an id 24.
_MOST_SOURCES = 200
_MOST_IDS = 1_000
_ALL_TIME: Mapping[str, str] = {"earliest_time": "0", "latest_time": "4102444800"}
_BOTH = "count AS copies dc(event_uid) AS events"
_NAMED_IDS = 10
_FAILED = frozenset({"ERROR", "FATAL"})


class SplunkRecount:
    """Implements `ports.Recount`. An event that stands twice under its `event_uid` counts once, and is a double.

    Args:
        sink: its name.
        servers: the search head's management address (port 8089), and a token of a user that may search.
        indexes: that the events are in; "" for one that is not known here.
        by_id: whether events carry `event_uid`; those of the raw endpoint have no indexed fields.
    """

    doubles = True

    def __init__(self, sink: str, servers: HecServers, indexes: Sequence[str], *, by_id: bool) -> None:
        self.by_id = by_id
        self._links = Links(sink, servers, Metrics())
        self._token = servers.token
        names = sorted(set(indexes))
        self._where = f"index IN ({', '.join(map(_quoted, names))})" if names and all(names) else "index=*"
        self._retention: dict[str, float] = {}

    def count(self, splits: Sequence[S3Split]) -> list[int | None]:
        """See ports.Recount."""
        sources = sorted({item.uri for split in splits for item in split.objects})
        what = "dc(event_uid)" if self.by_id else "count"
        found: dict[str, int] = {}
        for first in range(0, len(sources), _MOST_SOURCES):
            rows = self._search(f"{what} AS events", "source", sources[first : first + _MOST_SOURCES])
            found.update((row["source"], int(row["events"])) for row in rows)
        return [sum(found.get(item.uri, 0) for item in split.objects) for split in splits]

    def count_events(self, region: str, group: str, first_ms: int, last_ms: int) -> int | None:
        """See ports.Recount. The source is `region:group:stream`."""
        if not self.by_id:
            return None
        span = _span(first_ms, last_ms)
        rows = self._search("dc(event_uid) AS events", "source", [f"{region}:{group}:*"], by="index", span=span)
        return sum(int(row["events"]) for row in rows)

    def doubled(self, paths: Sequence[str]) -> dict[str, Doubled]:
        """See ports.Recount. Events of the raw endpoint have no ids to be told by."""
        found: dict[str, Doubled] = {}
        if not self.by_id:
            return found
        for first in range(0, len(paths), _MOST_SOURCES):
            rows = self._search(_BOTH, "source", paths[first : first + _MOST_SOURCES])
            for row in rows:
                if int(row["copies"]) > int(row["events"]):
                    found[row["source"]] = self._doubled([row], row["source"])
        return found

    def doubled_events(self, region: str, group: str, first_ms: int, last_ms: int) -> Doubled:
        """See ports.Recount."""
        if not self.by_id:
            return Doubled()
        span, source = _span(first_ms, last_ms), f"{region}:{group}:*"
        rows = self._search(_BOTH, "source", [source], by="index", span=span)
        return self._doubled(rows, source, span) if any(row["copies"] != row["events"] for row in rows) else Doubled()

    def missing(self, documents: Sequence[Document]) -> list[int]:
        """See ports.Recount."""
        if not self.by_id:
            return list(range(len(documents)))
        ids = sorted({document.id for document in documents})
        held: set[str] = set()
        for first in range(0, len(ids), _MOST_IDS):
            held.update(row["event_uid"] for row in self._search("count", "event_uid", ids[first : first + _MOST_IDS]))
        return [position for position, document in enumerate(documents) if document.id not in held]

    def locate(self, document_id: str) -> list[dict[str, Any]]:
        """Return the source of an event, and how often it stands there: more than once is a double.

        Raises:
            RetryableError: the search head does not answer, or refuses the search.
        """
        rows = self._search("count AS events", "event_uid", [document_id], by="source")
        return [{"source": row["source"], "events": int(row["events"])} for row in rows]

    def expired(self, index: str, time_ms: int, stored_at: float) -> bool:  # noqa: ARG002 - the port's signature
        """See ports.Recount. By the index's `frozenTimePeriodInSecs`, where the token may see it."""
        if not index:
            return False
        if index not in self._retention:
            self._retention[index] = self._retention_of(index)
        return time_ms / 1000 < time.time() - self._retention[index]

    def _doubled(self, rows: Sequence[Mapping[str, Any]], source: str, span: Mapping[str, str] = _ALL_TIME) -> Doubled:
        """Return how many events of a source are too many, and which some of them are."""
        stored = sum(int(row["copies"]) for row in rows)
        extra = stored - sum(int(row["events"]) for row in rows)
        first = f"where copies>1 | head {_NAMED_IDS}"
        named = self._search("count AS copies", "source", [source], by="event_uid", span=span, then=first)
        return Doubled(stored, extra, tuple(sorted(row["event_uid"] for row in named)))

    def _search(
        self,
        what: str,
        field: str,
        values: Sequence[str],
        *,
        by: str | None = None,
        span: Mapping[str, str] = _ALL_TIME,
        then: str = "",
    ) -> list[dict[str, Any]]:
        text = f"| tstats {what} where {self._where} {field} IN ({', '.join(map(_quoted, values))}) by {by or field}"
        text += f" | {then}" if then else ""
        form = {"search": text, "exec_mode": "oneshot", "output_mode": "json", "count": "0"}
        # What the peers that answered hold would look like a loss.
        answer = self._ask("POST", _PATH, {**form, **span, "allow_partial_results": "false"})
        results, messages = answer.get("results"), answer.get("messages", [])
        failed = [str(each.get("text")) for each in messages if each.get("type") in _FAILED]
        if failed or not isinstance(results, list):
            raise RetryableError(f"Splunk's search failed: {'; '.join(failed) or 'no results in the answer'}")
        return results

    def _retention_of(self, index: str) -> float:
        """Seconds after which the index deletes or archives; infinite where that is not to be seen."""
        try:
            answer = self._ask("GET", f"/services/data/indexes/{quote(index, safe='')}?output_mode=json")
            return float(answer["entry"][0]["content"]["frozenTimePeriodInSecs"])
        except (_RefusedError, LookupError, TypeError, ValueError):
            return float("inf")

    def _ask(self, method: str, path: str, form: dict[str, str] | None = None) -> dict[str, Any]:
        link = self._links.to(self._links.urls[0])
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/x-www-form-urlencoded"}
        status, body, _ = link.request(method, path, urlencode(form).encode() if form else None, headers=headers)
        if status not in (200, 201):
            said = body[:300].decode("utf-8", "replace")
            raise _RefusedError(f"{link.url} answers the search with HTTP {status}: {said}", paused=status < 500)
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise RetryableError(f"{link.url} answers the search with no JSON") from error
        return answer if isinstance(answer, dict) else {}


class _RefusedError(RetryableError):
    """The search head said no."""


def _quoted(value: str) -> str:
    """A value in a search. `*` cannot be escaped, so that more may match than was asked for."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _span(first_ms: int, last_ms: int) -> dict[str, str]:
    return {"earliest_time": _seconds(first_ms), "latest_time": _seconds(last_ms + 1)}


def _seconds(time_ms: int) -> str:
    return f"{time_ms // 1000}.{time_ms % 1000:03d}"
