"""What IAM says of the role or user that called, written once for the many records of a principal."""

from __future__ import annotations

from typing import Any

import orjson

from shipper.model import IamPrincipal

_MOST_PRINCIPALS = 8_192

_written: dict[str, tuple[IamPrincipal, orjson.Fragment]] = {}


def principal_fields(arn: str, found: IamPrincipal) -> orjson.Fragment:
    """`aws.iam` as JSON.

    Args:
        arn: of the role or user, without its path.
    """
    kept = _written.get(arn)
    if kept is not None and kept[0] is found:
        return kept[1]
    iam: dict[str, Any] = {"arn": arn}
    if found.tags:
        iam["tags"] = found.tags
    if found.path:
        iam["path"] = found.path
    if found.description:
        iam["description"] = found.description
    if len(_written) >= _MOST_PRINCIPALS:
        _written.clear()
    fields = orjson.Fragment(orjson.dumps(iam))
    _written[arn] = found, fields
    return fields
