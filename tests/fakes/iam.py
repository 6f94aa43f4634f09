"""Decides as IAM does whether a policy's Allow statements cover a call (no Deny, no NotAction: we print none)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PIECES = re.compile(r"\$\{([*?$])\}|(\*)|(\?)|(.)", re.DOTALL)


def allows(policy: Mapping[str, Any], action: str, resource: str | None, context: Mapping[str, str]) -> bool:
    """Whether a policy document allows an action.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html

    Args:
        resource: its ARN; None where only the action and conditions are to be judged.
        context: values of condition keys.
    """
    return any(
        statement["Effect"] == "Allow"
        and any(_like(pattern, action) for pattern in _many(statement["Action"]))
        and (resource is None or any(_like(pattern, resource) for pattern in _many(statement["Resource"])))
        and all(
            key in context and any(_meets(operator, value, context[key]) for value in _many(values))
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
        for statement in policy["Statement"]
    )


def _meets(operator: str, value: str, found: str) -> bool:
    assert operator in {"StringLike", "StringEquals"}, operator
    return _like(value, found) if operator == "StringLike" else value == found


def _like(pattern: str, text: str) -> bool:
    """`*` and `?` stand for anything, `${*}`, `${?}` and `${$}` for themselves."""
    parts = [
        re.escape(literal or plain) if literal or plain else (".*" if star else ".")
        for literal, star, _, plain in _PIECES.findall(pattern)
    ]
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def _many(values: str | list[str]) -> list[str]:
    return [values] if isinstance(values, str) else values
