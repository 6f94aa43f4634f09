"""A data stream's backing indices as far as documents are looked for in them: settings, `_mget` and a search by ids."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Backing:
    """One backing index.

    Attributes:
        made: seconds since the epoch.
        ids: of all that is stored in it.
        unrefreshed: those of them that a search does not see yet.
        broken: the error type that `_mget` answers with; "" for none.
    """

    name: str
    made: float
    ids: set[str] = field(default_factory=set)
    unrefreshed: set[str] = field(default_factory=set)
    closed: bool = False
    broken: str = ""


@dataclass
class BackingIndices:
    """The data stream.

    Attributes:
        asked: names of indices that documents were looked for in, by `_mget` and by searches.
        searched: those of them that were searched.
        forbidden: every request is answered with 403.
    """

    indices: list[Backing]
    asked: set[str] = field(default_factory=set)
    searched: set[str] = field(default_factory=set)
    forbidden: bool = False

    def answer(self, path: str, body: bytes | None) -> tuple[int, dict[str, Any]] | None:
        """Return status and body; None for a request of another kind."""
        if not any(part in path for part in ("_settings", "_mget", "_search")):
            return None
        if self.forbidden:
            return 403, {"error": {"type": "security_exception", "reason": "unauthorized"}}
        wanted = json.loads(body or b"{}")
        if "_settings" in path:
            return 200, {each.name: {"settings": {"index": self._settings(each)}} for each in self.indices}
        return 200, self._fetched(wanted) if "_mget" in path else self._found(wanted)

    def _settings(self, each: Backing) -> dict[str, str]:
        closed = {"verified_before_close": "true"} if each.closed else {}
        return {"creation_date": str(int(each.made * 1000)), **closed}

    def _fetched(self, wanted: dict[str, Any]) -> dict[str, Any]:
        by_name = {each.name: each for each in self.indices}
        docs = []
        for item in wanted["docs"]:
            index = by_name[item["_index"]]
            self.asked.add(index.name)
            kind = "index_closed_exception" if index.closed else index.broken
            answer = {"error": {"type": kind}} if kind else {"found": item["_id"] in index.ids}
            docs.append({"_id": item["_id"], **answer})
        return {"docs": docs}

    def _found(self, wanted: dict[str, Any]) -> dict[str, Any]:
        ids, names = wanted["query"]["bool"]["filter"]
        chosen = [each for each in self.indices if each.name in names["terms"]["_index"] and not each.closed]
        self.searched.update(each.name for each in chosen)
        self.asked.update(each.name for each in chosen)
        seen = [id_ for each in chosen for id_ in sorted(each.ids - each.unrefreshed) if id_ in ids["ids"]["values"]]
        return {"hits": {"hits": [{"_id": id_} for id_ in seen[: wanted["size"]]]}}
