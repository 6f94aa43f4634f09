"""Aliases by which searches for data streams find the indices of strict mode.

Elastic's rules and its data views search `logs-aws.cloudtrail-*`, and strict indices are called `shipper-…`, because an
index whose name matches a data stream's template cannot be made. Their templates give new indices the alias; those that
an earlier version made get it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from shipper.model import Problem
from shipper.sinks.elasticsearch_probes import Client, present
from shipper.sinks.elasticsearch_templates import strict_alias

_SHOWN = 3


class StrictAliases:
    """Aliases of one sink's strict indices.

    Args:
        names: pattern of the indices.
    """

    def __init__(self, client: Client, names: str) -> None:
        self._client = client
        self._names = names

    def install(self) -> list[str]:
        """Give indices without it their alias; return a line for what was done, or for what cannot be done.

        Raises:
            RetryableError: the cluster is not reachable or is busy.
            ConfigError: the cluster refuses the aliases.
        """
        missing = self._missing()
        if not missing or not self._visible(missing):
            return []
        answer = self._client.ask("POST", "/_aliases", {"actions": _actions(missing)})
        count = sum(map(len, missing.values()))
        if answer.status == 403:
            return [f"{_lacking(count)}, and the credentials may not add it: {self._command(missing)}"]
        self._client.expect_ok(answer, "aliases of strict indices")
        return [f"aliases added to {count} strict {'index' if count == 1 else 'indices'}: {', '.join(missing)}"]

    def problems(self, where: str) -> Iterator[Problem]:
        """Yield that indices lack their alias.

        Raises:
            RetryableError: the server does not say now.
        """
        missing = self._missing()
        if missing and not self._visible(missing):
            what = f"whether strict indices have their aliases cannot be seen: {', '.join(missing)}"
            hint = "the role that `shipper setup elasticsearch --show-role` prints may see them; with it, check again"
            yield Problem(where, what, hint, serious=False, note=True)
        elif missing:
            what = f"{_lacking(sum(map(len, missing.values())))}: Elastic's rules do not see it"
            hint = f"the next start adds it where the credentials may; else {self._command(missing)}"
            yield Problem(where, what, hint, serious=False)

    def _missing(self) -> dict[str, list[str]]:
        """Indices that show no alias, by alias; none where the credentials may not see indices."""
        answer = self._client.get(f"/{self._names}/_alias")
        if not present(answer, "aliases of strict indices"):
            return {}
        missing: dict[str, list[str]] = {}
        for index, entry in sorted(answer.json().items()):
            alias = strict_alias(index)
            if alias and alias not in (entry.get("aliases") or {}):
                missing.setdefault(alias, []).append(index)
        return missing

    def _visible(self, aliases: Iterable[str]) -> bool:
        """Whether the credentials may see these aliases; those that they may not are left out of every answer."""
        wanted = {"index": [{"names": list(aliases), "privileges": ["view_index_metadata"]}]}
        answer = self._client.ask("POST", "/_security/user/_has_privileges", wanted)
        secured = present(answer, "privileges of the credentials")
        return secured is False or bool(answer.json().get("has_all_requested"))

    def _command(self, missing: dict[str, list[str]]) -> str:
        actions = [{"add": {"index": f"{_pattern(alias)}-*", "alias": alias}} for alias in missing]
        more = f" and {len(actions) - _SHOWN} more" if len(actions) > _SHOWN else ""
        body = orjson.dumps({"actions": actions[:_SHOWN]}).decode()
        return f"with the privilege manage on {self._names}, POST /_aliases {body}{more}"


def _actions(missing: dict[str, list[str]]) -> list[dict[str, Any]]:
    return [{"add": {"indices": indices, "alias": alias}} for alias, indices in missing.items()]


def _lacking(count: int) -> str:
    return "1 strict index lacks its alias" if count == 1 else f"{count} strict indices lack their alias"


def _pattern(alias: str) -> str:
    return f"shipper-{alias.removeprefix('logs-').removesuffix('-strict')}"
