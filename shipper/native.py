"""The native module, where it is installed: what it does, Python does as well, more slowly.

`native/` has its source. With SHIPPER_NATIVE=off in the environment it is not used even where it is installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import shipper_native as _module


INTERFACE = 5
"""What the module has to say of itself, here and in `native/src/lib.rs`: raised whenever what it offers changes."""


def _loaded() -> ModuleType | None:
    if os.environ.get("SHIPPER_NATIVE") == "off":
        return None
    try:
        import shipper_native
    except ImportError:
        return None
    # One that was built for another version of the program would fail in the middle of the work.
    return shipper_native if getattr(shipper_native, "INTERFACE", 1) == INTERFACE else None


CloudTrailEncoder: type[_module.CloudTrailEncoder] | None
FlowLines: type[_module.FlowLines] | None
SecretNames: type[_module.SecretNames] | None
CloudTrailEncoder = getattr(_loaded(), "CloudTrailEncoder", None)
FlowLines = getattr(_loaded(), "FlowLines", None)
SecretNames = getattr(_loaded(), "SecretNames", None)
has_duplicate_keys: Callable[[bytes], bool | None] | None = getattr(_loaded(), "has_duplicate_keys", None)
