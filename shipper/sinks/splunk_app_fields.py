"""Which indexed fields envelopes have, by log type: what fields.conf must say, and for which sourcetypes alone.

A name that is declared for every sourcetype would change searches for other data: Splunk looks for its values in the
index only, and finds none that are extracted at search time. So each name is declared for those sourcetypes whose
envelopes carry it, and names that end in something of the operator's, such as tags, by a pattern.
https://docs.splunk.com/Documentation/Splunk/latest/Admin/Fieldsconf
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

CLOUDTRAIL, CLOUDWATCH, EKS = "aws:cloudtrail", "aws:cloudwatchlogs", "aws:cloudwatchlogs:eks"
VPC_FLOW, TRANSIT_GATEWAY = "aws:cloudwatchlogs:vpcflow", "aws:transitgateway:flowlogs"
ELB, S3ACCESS, WAF = "aws:elb:accesslogs", "aws:s3:accesslogs", "aws:waf"

_PLACE = (
    *("country", "country_code", "region", "city", "lat", "lon", "asn", "as_org", "isp", "isp_organization"),
    *("anonymity", "cloud_provider", "cloud_service", "cloud_region"),
)
_OWNER = (
    *("interface", "interface_name", "instance_id", "instance_name", "service", "resource", "account"),
    *("vpc", "subnet", "security_group", "tag_*"),
)
_THREAT = tuple(f"threat_{name}" for name in ("indicator", "type", "provider", "description", "confidence", "id"))


def _of(sides: Iterable[str], fields: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{side}_{field}" for side in sides for field in fields)


_ALL = (
    *("event_uid", "shipper_tags", "region_name"),
    *("account_name", "organizational_unit", "organization_id", "account_tag_*"),
)
_CLOUDTRAIL = (
    *_ALL,
    *_of(["src"], (*_PLACE, *_THREAT)),
    *_of(["user_agent"], _THREAT),
    *("iam_arn", "iam_path", "iam_description", "iam_tag_*", "bucket_name", "bucket_tag_*"),
    *("effective_user", "effective_user_id"),
    *("session_chain", "session_source_identity", "session_first_address"),
)
_FLOWS = (
    *_ALL,
    "network_direction",
    *_of(["src", "dest", "pkt_src", "pkt_dest"], (*_PLACE, *_THREAT)),
    *_of(["src", "dest"], _OWNER),
)
_ACCESS = (
    *_ALL,
    *_of(["src", "dest", "related"], (*_PLACE, *_THREAT)),
    *_of(["user_agent"], _THREAT),
    "log_group_tag_*",
)
_EVENTS = (*_ACCESS, *_of(["query"], _THREAT))
_BY_TYPE: Mapping[str, tuple[str, ...]] = {
    "cloudtrail": _CLOUDTRAIL,
    "vpcflow": _FLOWS,
    "elb": _ACCESS,
    "s3access": _ACCESS,
}
_SOURCETYPES: Mapping[str, tuple[str, ...]] = {
    CLOUDTRAIL: _CLOUDTRAIL,
    CLOUDWATCH: _EVENTS,
    EKS: _EVENTS,
    VPC_FLOW: _FLOWS,
    TRANSIT_GATEWAY: _FLOWS,
    ELB: _ACCESS,
    S3ACCESS: _ACCESS,
    WAF: _EVENTS,
}
"""All that envelopes may have."""


def own_sourcetypes() -> frozenset[str]:
    """Return the sourcetypes that envelopes have unless the operator chooses others."""
    return frozenset(_SOURCETYPES)


def field_stanzas(sourcetypes: Mapping[str, str]) -> list[str]:
    """Return the names of fields.conf's stanzas.

    Args:
        sourcetypes: by log type, where they are others than the add-on's.
    """
    fields = {kind: set(names) for kind, names in _SOURCETYPES.items()}
    for logs, kind in sourcetypes.items():
        fields.setdefault(kind, set()).update(_BY_TYPE.get(logs, _EVENTS))
    return [f"sourcetype::{kind}::{name}" for kind in sorted(fields) for name in sorted(fields[kind])]
