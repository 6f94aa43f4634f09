"""What was probably meant by a field that no record has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from shipper.config.known_fields import ECS_NAMES, KnownFields, canonical

_CUTOFF = 0.6
_CLOSE = 0.85
_SHORTEST = 6
_SHORTEST_PART = 4


def nearest_field(name: str, types: Sequence[KnownFields], *, sure: bool = False) -> str:
    """Return the field that is most like a name; "" if there is none.

    Args:
        sure: only one that differs in case and separators, or in a letter of many.
    """
    if found := _same(name, types):
        return found
    if sure:
        return _like(name, types, _CLOSE) if len(name) >= _SHORTEST else ""
    return (
        _of_ecs(name, types) or _by_last_part(name, types) or _like(name, types, _CLOSE) or _part(name, types)
    ) or _like(name, types, _CUTOFF)


def _same(name: str, types: Iterable[KnownFields]) -> str:
    """The same name but for case and separators; what stands below an open part is as it was written."""
    for known in types:
        spelled = {_plain(each): each for each in sorted(known.names)}
        if each := spelled.get(_plain(name)):
            return each
        for path in known.below:
            if name.lower().startswith(path.lower()) and not name.startswith(path):
                return path + name[len(path) :]
    return ""


def _of_ecs(name: str, types: Iterable[KnownFields]) -> str:
    given = ECS_NAMES.get(name.lower(), ())
    return next((each for known in types for each in given if known.has(each)), "")


def _by_last_part(name: str, types: Iterable[KnownFields]) -> str:
    """A path that ends as the name does: `userName` is userIdentity's, and `http.request` a line's `request`."""
    wanted = _plain(name.rpartition(".")[2])
    ends = [each for known in types for each in known.names if _plain(each.rpartition(".")[2]) == wanted]
    return min(ends, key=lambda each: (each.count("."), len(each), each), default="")


def _part(name: str, types: Iterable[KnownFields]) -> str:
    """A name that contains the given one, or that it contains: `elb_status_code` for `status`."""
    wanted = _plain(name)
    spelled = {_plain(each): each for known in types for each in sorted(known.names) if "." not in each}
    longer = [plain for plain in spelled if wanted in plain and len(wanted) >= _SHORTEST_PART]
    shorter = [plain for plain in spelled if plain in wanted and len(plain) >= _SHORTEST_PART]
    found = min(longer, key=len, default="") or max(shorter, key=len, default="")
    return spelled.get(found, "")


def _like(name: str, types: Sequence[KnownFields], cutoff: float) -> str:
    given = name.split(".")
    for path in (path for known in types for path in known.below):
        # a slip before an open part: requestParameter.bucketName
        parts = path.count(".")
        head, rest = ".".join(given[:parts]), ".".join(given[parts:])
        if rest and get_close_matches(head.lower(), [path[:-1].lower()], n=1, cutoff=_CLOSE):
            return path + rest
    spelled = {each.lower(): each for known in types for each in sorted(known.names)}
    close = get_close_matches(name.lower(), spelled, n=1, cutoff=cutoff)
    return spelled[close[0]] if close else ""


def _plain(name: str) -> str:
    return canonical(name).replace("-", "")
