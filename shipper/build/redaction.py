"""What is taken out of records."""

from __future__ import annotations

from shipper.config import Redact as Chosen
from shipper.metrics import Metrics
from shipper.ports import Redact


def redactor(chosen: Chosen, metrics: Metrics) -> Redact | None:
    """All rules as one function, or None where nothing is taken out.

    Where the key of hashes was not read (`shipper decode` reads no secrets), what would be hashed is masked.
    """
    if not chosen.secrets and not chosen.rules:
        return None
    from shipper.redaction import Redactor, Rule

    return Redactor(
        [
            Rule(rule.field, rule.pattern, rule.action if chosen.key or rule.action != "hash" else "mask")
            for rule in chosen.rules
        ],
        secrets=chosen.secrets,
        hash_key=chosen.key,
        count=lambda rule, number: metrics.values_redacted.labels(rule).inc(number),
    )
