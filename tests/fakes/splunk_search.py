"""Splunk's search API as far as audits use it: a oneshot `tstats` over indexed fields, and an index's settings.

It reads the search itself: `| tstats COUNT [AS NAME]… where TERM… by FIELD [| where NAME>NUMBER] [| head NUMBER]`,
terms being `field=value` and `field IN (values)` with `*` as a wildcard, and COUNT being `count` or `dc(field)`.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from tests.fakes.splunk_hec_rules import Event

JOBS = "/services/search/jobs"
INDEXES = "/services/data/indexes/"
_SEARCH = re.compile(
    r"\|\s*tstats\s+(?P<counts>(?:(?:count|dc\(\w+\))(?:\s+AS\s+\w+)?\s+)+)where\s+(?P<terms>.+?)\s+by\s+(?P<by>\w+)\s*"
    r"(?:\|\s*where\s+(?P<kept>\w+)>(?P<least>\d+)\s*)?(?:\|\s*head\s+(?P<head>\d+)\s*)?",
    re.DOTALL,
)
_COUNT = re.compile(r"(?P<what>count|dc\((?P<of>\w+)\))(?:\s+AS\s+(?P<name>\w+))?\s+")
_TERM = re.compile(
    r'(?P<field>\w+)(?:=(?P<value>"(?:\\.|[^"\\])*"|\S+)|\s+IN\s+\((?P<values>(?:"(?:\\.|[^"\\])*"|[^")])*)\))\s*'
)
_VALUE = re.compile(r'"(?:\\.|[^"\\])*"|[^,\s]+')


class BadSearchError(ValueError):
    """The search is not one that this can read."""


def answer(form: dict[str, str], events: Iterable[Event]) -> dict[str, Any]:
    """The answer to a job.

    Raises:
        BadSearchError: the search cannot be read, or is not a oneshot one in JSON.
    """
    found = _SEARCH.fullmatch(form.get("search", "").strip())
    if found is None or form.get("exec_mode") != "oneshot" or form.get("output_mode") != "json":
        raise BadSearchError(form.get("search", ""))
    first, last = float(form.get("earliest_time") or 0), float(form.get("latest_time") or "inf")
    matches = _matcher(found["terms"])
    groups: dict[str, list[Event]] = {}
    for event in events:
        if first <= (event.time or 0.0) < last and matches(event) and (key := _field(event, found["by"])):
            groups.setdefault(key, []).append(event)
    counts = [(each["name"] or each["what"], each["of"]) for each in _COUNT.finditer(found["counts"])]
    results = [
        {found["by"]: key, **{name: str(_count(members, of)) for name, of in counts}}
        for key, members in sorted(groups.items())
    ]
    if found["kept"]:
        results = [row for row in results if int(row[found["kept"]]) > int(found["least"])]
    results = results[: int(found["head"])] if found["head"] else results
    limit = int(form.get("count", "100")) or len(results)
    return {"preview": False, "init_offset": 0, "messages": [], "results": results[:limit]}


def _count(members: list[Event], of: str | None) -> int:
    return len(members) if of is None else len({_field(event, of) for event in members} - {""})


def _field(event: Event, name: str) -> str:
    if name in {"index", "source", "sourcetype", "host"}:
        return str(getattr(event, name))
    return str(event.fields.get(name, ""))


def _matcher(terms: str) -> Callable[[Event], bool]:
    wanted: list[tuple[str, list[re.Pattern[str]]]] = []
    at = 0
    while at < len(terms):
        term = _TERM.match(terms, at)
        if term is None:
            raise BadSearchError(terms[at:])
        values = [term["value"]] if term["value"] is not None else _VALUE.findall(term["values"])
        wanted.append((term["field"], [_pattern(value) for value in values]))
        at = term.end()
    return lambda event: all(any(one.match(_field(event, field)) for one in patterns) for field, patterns in wanted)


def _pattern(value: str) -> re.Pattern[str]:
    plain = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
    return re.compile(fnmatch.translate(plain.replace("[", "[[]").replace("?", "[?]")))


def index_settings(path: str, retention: dict[str, float]) -> bytes | None:
    """An index's settings; None where there is no such index."""
    name = path.removeprefix(INDEXES)
    if name not in retention:
        return None
    entry = {"name": name, "content": {"frozenTimePeriodInSecs": int(retention[name])}}
    return json.dumps({"entry": [entry], "messages": []}).encode()
