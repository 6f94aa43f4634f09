"""What the native encoder of flow log lines needs of this mapping: what many lines share, as JSON.

The encoder (`native/src/flow.rs`) writes the usual lines faster and leaves all others to the Python code here, which
says what a document is; `tests/unit/test_vpc_flow_ecs.py` holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shipper import native
from shipper.schemas.ecs.vpc_flow_layout import Caches, Fixtures, plan_of
from shipper.schemas.ecs.vpc_flow_values import DIRECTION_MEMBERS, PROTOCOLS

NativeLines = Callable[[bytes, bytes, bytes], "tuple[int, bytes] | None"]
"""(line, top, aws) → time in milliseconds and document; None for a line that Python has to map.

`top` and `aws` are JSON members, each with a comma behind it.
"""


class _LeftToPythonError(Exception):
    """The native encoder shall not write this line."""


def native_lines(layout: Sequence[str], account: str, region: str, caches: Caches) -> NativeLines | None:
    """Return the native encoder of one layout; None where the module is not installed, or knows too little for it.

    Args:
        account, region: for lines that do not say; "" for unknown.
    """
    plan = plan_of(layout)
    if native.FlowLines is None or plan is None or caches.owners is not None:
        return None
    endpoints, times, fixtures = caches.endpoints, caches.times, Fixtures(plan, account, region, caches)
    values = len(plan.fixed)

    def endpoint(address: bytes) -> tuple[bytes, bytes, bytes, bool | None, bytes, bytes, bytes]:
        found = endpoints.find(address.decode())
        if found is None or found.indicator is not None:
            raise _LeftToPythonError
        more = found.origin.encode(), found.target.encode(), found.apart.encode()
        return found.packed, found.type.encode(), found.json.encode(), found.internal, *more

    def time(text: bytes) -> tuple[int, bytes]:
        found = times.find(text.decode())
        if found is None:
            raise _LeftToPythonError
        return found[0], found[1].encode()

    def fixed(key: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes, bytes]:
        found = fixtures.find(tuple(key.decode().split(" ", values - 1)) if values else (), 0)
        if not found.own:
            raise _LeftToPythonError
        parts = (found.event, found.network, found.cloud, found.objects, found.own, found.aws)
        event, network, cloud, objects, own, aws = (text.encode() for text in parts)
        return event, network, cloud, objects, own, aws

    own_direction = "flow-direction" in plan.names
    within = [(source, destination) for source in (False, True) for destination in (False, True)]
    return native.FlowLines(
        plan.splits,
        plan.width,
        plan.traffic,
        plan.fixed,
        [(column, f',"{name}":"'.encode()) for column, name in plan.packet],
        [PROTOCOLS[str(number)][1].encode() for number in range(256)],
        [] if own_direction else [DIRECTION_MEMBERS[ends].encode() for ends in within],
        endpoint,
        time,
        fixed,
    ).encode
