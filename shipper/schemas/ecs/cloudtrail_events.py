"""Which kinds of events calls are in ECS, from a table of their names (`cloudtrail_events.json`).

Names that Elastic's AWS integration knows have its values; for others, `info` stands beside our own value, because
that is what content written for the integration finds there.
"""

from __future__ import annotations

from importlib import resources

import orjson

INFORMATION: tuple[list[str], list[str]] = ([], ["info"])


def _kinds() -> dict[str, tuple[list[str], list[str]]]:
    table = orjson.loads(resources.files(__package__).joinpath("cloudtrail_events.json").read_bytes())
    return {name: (category, kind) for name, (category, kind) in table.items()}


KINDS = _kinds()
"""eventName → (event.category, event.type). Never change the lists."""
