"""Looks for documents whose first sending had no answer, before they are sent again across a rollover."""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson

from shipper.errors import RetryableError
from shipper.model import Document
from shipper.sinks.elasticsearch_connection import Answer, Connection

_GENERATION = re.compile(r"-(\d{6,})$")
_LAST = 2


class Again:
    """Asks a data stream's last two backing indices, by ids and in real time (no refresh is needed for `_mget`).

    An id is unique within a backing index only: what was stored just before a rollover would be stored again in the
    next one (https://github.com/elastic/elasticsearch/issues/44794).
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def held(self, documents: Sequence[Document]) -> set[str]:
        """Return the ids of those that are stored; none where the credentials may not read.

        Raises:
            RetryableError: the cluster does not answer.
        """
        streams: dict[str, list[str]] = {}
        for document in documents:
            streams.setdefault(document.index, []).append(document.id)
        found: set[str] = set()
        for stream, ids in streams.items():
            names = self._backing(stream)
            if len(names) > 1:  # else the answer to `create` itself tells
                found |= self._get(names, ids)
        return found

    def _backing(self, stream: str) -> list[str]:
        answer = self._connection.request(
            "GET", f"/{stream}/_settings/index.creation_date?expand_wildcards=open,hidden&filter_path=*.settings"
        )
        found = answer.json() if _can_tell(answer) else {}
        numbered = [(int(number[1]), name) for name in found if (number := _GENERATION.search(name))]
        return [name for _, name in sorted(numbered)[-_LAST:]]

    def _get(self, names: Sequence[str], ids: Sequence[str]) -> set[str]:
        wanted = [{"_index": name, "_id": each, "_source": False} for each in ids for name in names]
        body = orjson.dumps({"docs": wanted})
        answer = self._connection.request("POST", "/_mget?realtime=true&filter_path=docs._id,docs.found", body)
        docs = answer.json().get("docs", []) if _can_tell(answer) else []
        return {each["_id"] for each in docs if each.get("found")}


def _can_tell(answer: Answer) -> bool:
    """Whether the cluster says what it has; not where the credentials may only write.

    Raises:
        RetryableError: it cannot say now.
    """
    if answer.status == 429 or answer.status >= 500:
        raise RetryableError(f"HTTP {answer.status} {' '.join(answer.error())}", answer.retry_after)
    return answer.status == 200
