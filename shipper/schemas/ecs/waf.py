"""AWS WAF's logs as the ECS documents of Elastic's AWS integration.

Source: "Log fields for web ACL traffic" (AWS WAF Developer Guide). What is empty, or a dash, is left out.
"""

from __future__ import annotations

from typing import Any

from shipper.model import LogEvent
from shipper.ports import Clock, GeoLookup, wall_clock
from shipper.schemas.ecs.log_event import (
    Describe,
    Fields,
    LogEventEcs,
    add,
    add_end,
    bounded,
    iso_time,
    number_in,
    object_of,
    text_in,
)
from shipper.schemas.ecs.unparsed import mark_unparsed
from shipper.schemas.ecs.user_agent import user_agent
from shipper.schemas.event_times import LAST_MS, MILLISECONDS_FROM, time_of

DATASET = "aws.waf"

_EMPTY: tuple[Any, ...] = (None, "", "-", [], {})
_OWN = frozenset({"webaclId", "terminatingRuleId", "httpRequest"})
"""Fields of WAF's records alone; what has none of them is none."""
_TYPES = {"ALLOW": "allowed", "BLOCK": "denied"}
_LISTS = {
    "labels": "labels",
    "terminating_rule_match_details": "terminatingRuleMatchDetails",
    "rule_group_list": "ruleGroupList",
    "rate_based_rule_list": "rateBasedRuleList",
    "non_terminating_matching_rules": "nonTerminatingMatchingRules",
}
_NUMBERS = {
    "request_body_size": "requestBodySize",
    "request_body_size_inspected_by_waf": "requestBodySizeInspectedByWAF",
    "response_code_sent": "responseCodeSent",
}
_TEXTS = {
    "arn": "webaclId",
    "format_version": "formatVersion",
    "ja4_fingerprint": "ja4Fingerprint",
    "source.id": "httpSourceId",
    "source.name": "httpSourceName",
}
_TOKENS = {"captcha_response": "captchaResponse", "challenge_response": "challengeResponse"}
_LONGEST = 8_191
_LONGEST_NAME = 256
_MOST_NAMES = 100


def waf_ecs(namespace: str, geo: GeoLookup | None, *, clock: Clock = wall_clock) -> LogEventEcs:
    """The schema of AWS WAF's logs.

    Args:
        geo: None to leave out geography and network owner, but for the country that AWS says.
        clock: the time of lines that have none.
    """
    return LogEventEcs(DATASET, namespace, _described(geo), own_time=True, formed=True, clock=clock)


def _described(geo: GeoLookup | None) -> Describe:
    def describe(document: Fields, text: str, _: LogEvent | None) -> int | None:
        said = object_of(text)
        if said is None or _OWN.isdisjoint(said):
            document["message"] = text
            mark_unparsed(document)
            return None
        request = said.get("httpRequest")
        request = request if isinstance(request, dict) else {}
        _add_own(document, said)
        _add_source(document, said, request, geo)
        _add_request(document, said, request)
        action = _text(said, "action")
        fields = {
            "event.action": action,
            "event.category": ["web", "network"],
            "event.type": ["access", *([_TYPES[action]] if action in _TYPES else [])],
            "rule.id": _text(said, "terminatingRuleId"),
            "rule.ruleset": _text(said, "terminatingRuleType"),
        }
        add(document, fields)
        return _time_ms(said)

    return describe


def _add_own(document: Fields, said: Fields) -> None:
    own: Fields = {name: _text(said, theirs) for name, theirs in _TEXTS.items()}
    own |= {name: number_in(said, theirs) for name, theirs in _NUMBERS.items()}
    for name, theirs in _LISTS.items():
        items = said.get(theirs)
        own[name] = [_present(item) for item in items if isinstance(item, dict)] if isinstance(items, list) else None
    oversize = said.get("oversizeFields")
    own["oversize_fields"] = [x for x in oversize if isinstance(x, str)] if isinstance(oversize, list) else None
    for name, theirs in _TOKENS.items():
        if isinstance(token := said.get(theirs), dict):
            solved = number_in(token, "solveTimestamp") or 0
            solved *= 1000 if solved < MILLISECONDS_FROM else 1
            own[f"{name}.response_code"] = number_in(token, "responseCode")
            own[f"{name}.solve_timestamp"] = iso_time(solved) if 0 < solved <= LAST_MS else None
            own[f"{name}.failure_reason"] = _text(token, "failureReason")
    parts = (own["arn"] or "").split(":", 5)
    if len(parts) == 6 and parts[0] == "arn":
        own["id"] = parts[5]
        place = {"cloud.service.name": parts[2], "cloud.region": parts[3], "cloud.account.id": parts[4]}
        add(document, {name: text or None for name, text in place.items()})
    add(document, {f"aws.waf.{name}": None if value in _EMPTY else value for name, value in own.items()})


def _add_source(document: Fields, said: Fields, request: Fields, geo: GeoLookup | None) -> None:
    address, country = _text(request, "clientIp"), _text(request, "country")
    if address:
        add_end(document, "source", address, geo)
    source: Fields = document.get("source", {})
    if country and "country_iso_code" not in source.get("geo", {}):
        shared = source.get("geo", {})  # never changed: it is that of all documents of the address
        source["geo"] = {**shared, "country_iso_code": country}
        document["source"] = source
    if "as" not in source and (number := number_in({**request, **said}, "clientAsn", "ClientASN")) is not None:
        add(document, {"source.as.number": number})


def _add_request(document: Fields, said: Fields, request: Fields) -> None:
    protocol, _, version = (_text(request, "httpVersion") or "").partition("/")
    protocol = protocol.lower() if version else ""
    headers = _headers(request.get("headers"))
    fields = {
        "host.domain": _text(request, "host"),
        "http.request.id": _text(request, "requestId"),
        "http.request.method": _text(request, "httpMethod"),
        "http.version": version or None,
        "network.protocol": protocol or None,
        "network.transport": "tcp" if protocol == "http" else None,
        "tls.client.ja3": _text(said, "ja3Fingerprint"),
        "url.fragment": _text(request, "fragment"),
        "url.path": _text(request, "uri"),
        "url.query": _text(request, "args"),
        "url.scheme": _text(request, "scheme"),
        "aws.waf.request.headers": headers,
        "aws.waf.request_headers_inserted": _headers(said.get("requestHeadersInserted")),
    }
    add(document, fields)
    agent = next((value for name, value in (headers or {}).items() if name.lower() == "user-agent"), None)
    if agent:
        document["user_agent"] = user_agent(agent)


def _headers(written: Any) -> dict[str, str] | None:
    """Headers by their names as clients write them, bounded; of several of one name the last."""
    if not isinstance(written, list):
        return None
    pairs = [(each.get("name"), each.get("value")) for each in written if isinstance(each, dict)]
    found = {
        name: value[:_LONGEST]
        for name, value in pairs
        if isinstance(name, str) and isinstance(value, str) and value not in _EMPTY
    }
    kept: dict[str, str] = bounded(found)
    return kept or None


def _present(value: Any, depth: int = 12) -> Any:
    """A rule's own account without what is empty within its objects, bounded in names and texts; None lies too deep."""
    if isinstance(value, dict):
        if not depth or len(value) > _MOST_NAMES:
            return None
        named = {name: _present(item, depth - 1) for name, item in value.items() if 0 < len(name) <= _LONGEST_NAME}
        return {name: item for name, item in named.items() if item not in _EMPTY}
    if isinstance(value, list):
        return [_present(item, depth - 1) for item in value] if depth else None
    return value[:_LONGEST] if isinstance(value, str) else value


def _text(fields: Fields, name: str) -> str | None:
    found = text_in(fields, name)
    return None if found in _EMPTY else found[:_LONGEST] if found else None


def _time_ms(said: Fields) -> int | None:
    """The request's time: milliseconds since the epoch, or ISO 8601 as some collectors write it."""
    number = number_in(said, "timestamp")
    return number if number is not None else time_of(text_in(said, "timestamp") or "")
