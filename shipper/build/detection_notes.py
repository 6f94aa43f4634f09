"""What a configuration keeps Elastic's detection rules from finding, for `shipper check`.

Sources: the queries of the rules in rules/integrations/aws and rules/ml of Elastic's detection-rules, and the
datafeeds and detectors of the machine learning jobs that the latter name.
"""

from __future__ import annotations

from collections.abc import Iterator

from shipper.config import Settings
from shipper.model import Problem

NEED_NETWORK = (
    "AWS Access Token Used from Multiple Addresses",
    "AWS AssumeRoleWithWebIdentity from Kubernetes SA and External ASN",
    "AWS Credentials Used from GitHub Actions and Non-CI/CD Infrastructure",
    "AWS Identity Center Token Redeemed from Multiple ASNs",
    "AWS Rare Source AS Organization Activity",
)
"""Rules that find nothing in documents without `source.as.organization.name`; the first needs the city, too."""
NEED_PLACE = (
    "AWS IAM User Console Login from Multiple Geolocations",
    "Network Traffic to Rare Destination Country",
    "Spike in Network Traffic To a Country",
    "Unusual City For an AWS Command",
    "Unusual Country For an AWS Command",
)
"""Rules that find nothing in documents without `source.geo.*` or `destination.geo.*`."""


def geoip_notes(settings: Settings) -> Iterator[Problem]:
    """Yield the rules that cannot fire because no database says where an address is, or whose."""
    if not any(sink.type == "elasticsearch" for sink in settings.sinks.values()):
        return
    geoip = settings.enrich.geoip
    if not (geoip.asn or geoip.isp or geoip.enterprise):
        yield _note("asn", "whose network an address is in", NEED_NETWORK)
    if not (geoip.city or geoip.enterprise):
        needed = [*NEED_PLACE, NEED_NETWORK[0]]
        if geoip.country:
            needed = [name for name in needed if "Country" not in name and "Geolocations" not in name]
        yield _note("city", "where an address is", needed)


def _note(key: str, unknown: str, rules: tuple[str, ...] | list[str]) -> Problem:
    return Problem(
        f"enrich.geoip.{key}",
        f"no database says {unknown}: these rules of Elastic's cannot fire: {', '.join(rules)}",
        f"name a database as `enrich.geoip.{key}`, or do without these rules",
        serious=False,
        note=True,
    )
