"""Sorts a page of a listing into what is new, what is left out for what it is, and what is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from shipper.model import S3Object
from shipper.sources.s3_bucket import Page, is_marker
from shipper.sources.s3_keys import DAY_SECONDS, Scope, Service, folder_of, follows_layout, is_shipped, scope_of
from shipper.sources.s3_scope import Listing
from shipper.sources.s3_strays import Coverage, Reason, is_test_file


@dataclass(slots=True)
class Sifted:
    """What one page held.

    Attributes:
        fresh: objects to be shipped, in the order of their keys.
        left_out: (day, key, hash, reason) of new objects that are no logs.
        elsewhere: folders of AWS's that a full listing leaves aside, with the reason.
        ours: how many objects of the page are of a kind that is shipped, new or not.
        day: the day of the last key, None where the page has none.
        at_end: whether the listing is at its end.
        scopes: those that a full listing came across, and leaves to listings of their own.
    """

    fresh: list[S3Object] = field(default_factory=list)
    left_out: list[tuple[int, str, int, str]] = field(default_factory=list)
    elsewhere: dict[str, Reason] = field(default_factory=dict)
    ours: int = 0
    day: int | None = None
    at_end: bool = False
    scopes: set[Scope] = field(default_factory=set)


def sift(
    listing: Listing,
    page: Page,
    services: tuple[Service, ...],
    is_held: Callable[[S3Object], bool],
    coverage: Coverage,
) -> Sifted:
    """Sort a page and move the listing past it.

    Args:
        services: whose scopes are listed.
        coverage: what the source takes as a whole.
        is_held: whether an object is on its way, waits in the retry table, or is another source's.
    """
    state, sifted = listing.state, Sifted(at_end=not page.more)
    for item in page.objects:
        if listing.until is not None and item.key >= listing.until:
            sifted.at_end = True
            break
        listing.after = item.key
        day = state.scope.day(item)
        sifted.day = sifted.day if day is None else day
        if is_marker(item.key, item.size):
            continue
        if state.scope.service is None and follows_layout(item.key):
            # AWS's own folders have listings of their own, or belong to other log types.
            if (scope := scope_of(item.key, services)) is not None:
                sifted.scopes.add(scope)
            elif not coverage.is_anothers(item.key) and (reason := coverage.reason_of(item.key)) != "taken":
                sifted.elsewhere[folder_of(item.key)] = reason
            continue
        sifted.ours += is_shipped(state.scope) and not is_test_file(item.key)
        # An object in a dated folder without a date: remembered by when it was written.
        kept_in = int(item.last_modified // DAY_SECONDS) if day is None else day
        value = item.hash
        if is_held(item) or not state.is_new(item, kept_in, value):
            continue
        why = _left_out(state.scope, day, item.key)
        if why is None:
            sifted.fresh.append(item)
        else:
            sifted.left_out.append((kept_in, item.key, value, why))
    return sifted


def _left_out(scope: Scope, day: int | None, key: str) -> str | None:
    if not is_shipped(scope):
        return "digest"
    if is_test_file(key):
        return "test_file"
    return "unrecognised" if day is None else None
