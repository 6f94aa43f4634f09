"""The native module, where it is installed: what it does, Python does as well, more slowly.

`native/` has its source. With SHIPPER_NATIVE=off in the environment it is not used even where it is installed.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import shipper_native as _module


def _loaded() -> ModuleType | None:
    if os.environ.get("SHIPPER_NATIVE") == "off":
        return None
    try:
        import shipper_native
    except ImportError:
        return None
    return shipper_native


CloudTrailEncoder: type[_module.CloudTrailEncoder] | None
FlowLines: type[_module.FlowLines] | None
SecretNames: type[_module.SecretNames] | None
CloudTrailEncoder = getattr(_loaded(), "CloudTrailEncoder", None)
FlowLines = getattr(_loaded(), "FlowLines", None)
SecretNames = getattr(_loaded(), "SecretNames", None)
