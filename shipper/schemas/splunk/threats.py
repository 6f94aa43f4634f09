"""What lists of indicators say of a value, as Splunk's indexed fields."""

from __future__ import annotations

from shipper.model import Indicator


def flat_threat(found: Indicator | None, side: str) -> dict[str, str]:
    """`src_threat_indicator`, `src_threat_type`, `src_threat_provider` …; empty where nothing is known.

    Args:
        side: what matched: `src`, `dest` or `user_agent`.
    """
    if found is None:
        return {}
    fields = {
        "indicator": found.value,
        "type": found.type,
        "provider": found.provider,
        "description": found.description,
        "confidence": found.confidence,
        "id": found.id,
    }
    return {f"{side}_threat_{name}": value for name, value in fields.items() if value}
