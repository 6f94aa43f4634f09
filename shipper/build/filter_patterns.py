"""What a subscription's filter pattern says of the events that it was written for: their type, and a flow log's fields.

Sources: "Filter pattern syntax" (Amazon CloudWatch Logs User Guide): `[a, b = 1, ...]` names the fields of lines parted
by spaces, `{ $.a = "b" }` those of JSON; its example for flow logs names them `source`, `destport`, `flowlogstatus` …
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from shipper.flow_layouts import KNOWN_FIELDS, Layout

_TERM = re.compile(r'(?:[^,"]|"[^"]*")+')
_NAME = re.compile(r"\s*([A-Za-z_][\w-]*)")
_KEY = re.compile(r"\$\.([A-Za-z_]\w*)")
_KEYS = (
    (frozenset({"eventSource", "eventName", "eventID", "userIdentity"}), "cloudtrail"),
    (frozenset({"query_name", "firewall_rule_action", "rcode"}), "route53_resolver"),
    (frozenset({"webaclId", "terminatingRuleId"}), "waf"),
    (frozenset({"auditID", "objectRef"}), "eks"),
    (frozenset({"kubernetes"}), "containers"),
)
_ALSO = {
    "account-id": ("account",),
    "interface-id": ("eni", "eniid", "interface"),
    "srcaddr": ("source", "src", "srcip", "sourceip", "sourceaddr", "sourceaddress"),
    "dstaddr": ("destination", "dest", "dst", "dstip", "destip", "destaddr", "destinationaddress"),
    "srcport": ("sourceport",),
    "dstport": ("destport", "destinationport"),
    "start": ("windowstart", "starttime"),
    "end": ("windowend", "endtime"),
    "log-status": ("flowlogstatus", "status"),
}
_FIELDS = {name.replace("-", ""): name for name in KNOWN_FIELDS} | {
    other: name for name, others in _ALSO.items() for other in others
}
_LEAST_KNOWN = 4


def type_of_patterns(patterns: Sequence[str]) -> tuple[str, Layout | None] | None:
    """The log type that a group's filter patterns agree in, and a flow log's fields; None where they say nothing."""
    found = {said for pattern in patterns if (said := _type_of(pattern.strip())) is not None}
    if len({logs for logs, _ in found}) != 1:
        return None
    layouts = {layout for _, layout in found if layout is not None}
    (logs,) = {logs for logs, _ in found}
    return logs, layouts.pop() if len(layouts) == 1 else None


def _type_of(pattern: str) -> tuple[str, Layout | None] | None:
    if pattern.startswith("[") and pattern.endswith("]"):
        return _type_of_fields(pattern[1:-1])
    if pattern.startswith("{"):
        keys = set(_KEY.findall(pattern))
        return next(((logs, None) for known, logs in _KEYS if not known.isdisjoint(keys)), None)
    return None


def _type_of_fields(text: str) -> tuple[str, Layout | None] | None:
    """A flow log, if enough of the names are its fields; its layout only where all are, each once."""
    terms = _TERM.findall(text)
    names = [found[1] if (found := _NAME.match(term)) else "" for term in terms]
    fields = tuple(_FIELDS.get(name.lower().replace("-", "").replace("_", ""), "") for name in names)
    known = set(fields) - {""}
    if len(known) < _LEAST_KNOWN or not {"srcaddr", "dstaddr"} <= known:
        return None
    return "vpcflow", fields if len(known) == len(fields) else None
