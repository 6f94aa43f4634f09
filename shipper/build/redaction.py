"""What is taken out of records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shipper.config import Redact as Chosen
from shipper.metrics import Metrics

if TYPE_CHECKING:
    from shipper.redaction import Redactor


def redactor(chosen: Chosen, metrics: Metrics | None) -> Redactor | None:
    """All rules as one function, or None where nothing is taken out.

    Where the key of hashes was not read (`shipper decode` reads no secrets), what would be hashed is masked.

    Args:
        metrics: count what is taken out; None for commands, which have no metrics.
    """
    if not chosen.secrets and not chosen.rules:
        return None
    from shipper.redaction import Redactor, Rule

    def count(rule: str, number: int) -> None:
        if metrics is not None:
            metrics.values_redacted.labels(rule).inc(number)

    return Redactor(
        [
            Rule(rule.field, rule.pattern, rule.action if chosen.key or rule.action != "hash" else "mask")
            for rule in chosen.rules
        ],
        secrets=chosen.secrets,
        hash_key=chosen.key,
        count=count,
    )
