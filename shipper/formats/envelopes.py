"""Which lines of an object are envelopes of CloudWatch Logs: those of an object that holds nothing else.

Firehose may take the messages out of their envelopes ("Message extraction", Amazon Data Firehose Developer Guide) and
write them one after another. Then an application's message may look like an envelope, and must not be taken for one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

ENVELOPE_STARTS = (b'{"messageType"', b'{"owner"')
PAGE_STARTS = (*ENVELOPE_STARTS, b'{"events"', b'{ "events"')
"""How envelopes, and pages that `FilterLogEvents` answered, begin."""
_AHEAD_BYTES = 1 << 18


def is_enveloped(start: bytes) -> bool:
    """Return whether what begins so is what a subscription filter wrote."""
    return start.startswith(ENVELOPE_STARTS)


def judged(start: bytes, found: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each line, and whether it may be an envelope or a page.

    An object whose first line is none holds none. Where it is one, so must be all lines of the first 256 kB; and after
    the first line that is none, no other is one.

    Args:
        start: the object's beginning.
        found: its lines, without blank ones.
    """
    rest = iter(found)
    if not start.startswith(PAGE_STARTS):
        yield from ((line, False) for line in rest)
        return
    ahead, size = [], 0
    for line in rest:
        ahead.append(line)
        size += len(line)
        if size > _AHEAD_BYTES:
            break
    believed = all(line.startswith(PAGE_STARTS) for line in ahead)
    for line in itertools.chain(ahead, rest):
        believed = believed and line.startswith(PAGE_STARTS)
        yield line, believed
