"""Names of AWS's regions, as botocore's own list has them."""

from __future__ import annotations

from collections.abc import Mapping

import botocore.session


def region_names() -> Mapping[str, str]:
    """Every known region's name by its id: `eu-west-1` is `Europe (Ireland)`."""
    partitions = botocore.session.Session().get_data("partitions")["partitions"]
    return {
        region: about["description"]
        for partition in partitions
        for region, about in partition["regions"].items()
        if not region.endswith("-global")
    }
