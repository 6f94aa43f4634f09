"""AWS WAF's logs: what they become for both kinds of sinks, where they lie, and how they are told from others."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.build import LOG_TYPES
from shipper.filters import read_filter
from shipper.model import LogEvent, LogStream, Origin, Payload, ReadLimits, Record
from shipper.ports import Lookups
from shipper.sources.s3_keys import account_and_region, leads_to_scopes, scope_of, services_of
from tests.unit.test_log_event_types import holds, told

KEY = "AWSLogs/111122223333/WAFLogs/cloudfront/acl/2026/01/15/10/00/1_waflogs_cloudfront_acl_20260115T1000Z_a.log.gz"
ORIGIN = Origin(f"s3://aws-waf-logs-a/{KEY}", "aws-waf-logs-a", KEY, "111122223333", "")
ARN = "arn:aws:wafv2:us-east-1:111122223333:global/webacl/acl/0a-1b"
MATCHED = {
    "conditionType": "SQL_INJECTION",
    "sensitivityLevel": "HIGH",
    "location": "HEADER",
    "matchedData": ["1", "AND"],
}
BLOCKED: dict[str, Any] = {
    "timestamp": 1_768_471_200_123,
    "formatVersion": 1,
    "webaclId": ARN,
    "terminatingRuleId": "refuse",
    "terminatingRuleType": "GROUP",
    "action": "BLOCK",
    "terminatingRuleMatchDetails": [MATCHED | {"matchedFieldName": ""}],
    "httpSourceName": "CF",
    "httpSourceId": "E1",
    "ruleGroupList": [
        {
            "ruleGroupId": "AWS#AWSManagedRulesSQLiRuleSet",
            "terminatingRule": {"ruleId": "SQLi_BODY", "action": "BLOCK", "ruleMatchDetails": None},
            "nonTerminatingMatchingRules": [],
            "excludedRules": None,
            "customerConfig": None,
        }
    ],
    "rateBasedRuleList": [
        {"rateBasedRuleId": "r", "limitKey": "IP", "maxRateAllowed": 100, "evaluationWindowSec": 300}
    ],
    "nonTerminatingMatchingRules": [{"ruleId": "count", "action": "COUNT", "ruleMatchDetails": [MATCHED]}],
    "requestHeadersInserted": [{"name": "x-amzn-waf-a", "value": "b"}],
    "responseCodeSent": 403,
    "httpRequest": {
        "clientIp": "203.0.113.7",
        "country": "SE",
        "headers": [
            {"name": "Host", "value": "shop.example"},
            {"name": "user-agent", "value": "curl/8.5.0"},
            {"name": "x.a.b", "value": "1"},
            {"name": "", "value": "no name"},
            {"name": "empty", "value": ""},
        ],
        "uri": "/pay",
        "args": "id=1",
        "httpVersion": "HTTP/2.0",
        "httpMethod": "POST",
        "requestId": "rid",
        "fragment": "top",
        "scheme": "https",
        "host": "shop.example",
    },
    "labels": [{"name": "awswaf:managed:aws:sql-database:SQLi_Body"}],
    "requestBodySize": 12_000,
    "requestBodySizeInspectedByWAF": 8192,
    "oversizeFields": ["REQUEST_BODY"],
    "ja3Fingerprint": "f79b6bad2ad0641e1921aef10262856b",
    "ja4Fingerprint": "t13d1516h2_8daaf6152771_02713d6af862",
    "captchaResponse": {"responseCode": 405, "solveTimestamp": 1_768_471_100, "failureReason": "TOKEN_MISSING"},
}
ALLOWED: dict[str, Any] = {
    "timestamp": "2026-01-15T10:00:01.500Z",
    "webaclId": "no-arn",
    "terminatingRuleId": "Default_Action",
    "action": "ALLOW",
    "httpSourceName": "-",
    "httpRequest": {"clientIp": "2001:db8::7", "country": "-", "httpVersion": "HTTP/1.1", "headers": None},
    "ruleGroupList": [],
    "clientAsn": 64501,
}
EVENTS = (BLOCKED, ALLOWED)


def made(said: Any, *, event: LogEvent | None = None, lookups: Lookups | None = None) -> dict[str, Any]:
    raw = orjson.dumps(said)
    document = LOG_TYPES["waf"].ecs("default", lookups or Lookups()).encoder(ORIGIN)(Record(raw, 1, None, event))
    assert document is not None
    assert document.index == "logs-aws.waf-default"
    found: dict[str, Any] = orjson.loads(document.body)
    assert found["event"]["original"] == raw.decode()
    return found


def test_a_refused_request_has_elastics_fields():
    """Empty parts are left out; the country and time are those that AWS says."""
    found = made(BLOCKED)
    holds(
        found,
        {
            "@timestamp": "2026-01-15T10:00:00.123Z",
            "aws.waf.arn": ARN,
            "aws.waf.captcha_response.failure_reason": "TOKEN_MISSING",
            "aws.waf.captcha_response.response_code": 405,
            "aws.waf.captcha_response.solve_timestamp": "2026-01-15T09:58:20.000Z",
            "aws.waf.format_version": "1",
            "aws.waf.id": "global/webacl/acl/0a-1b",
            "aws.waf.ja4_fingerprint": "t13d1516h2_8daaf6152771_02713d6af862",
            "aws.waf.labels": [{"name": "awswaf:managed:aws:sql-database:SQLi_Body"}],
            "aws.waf.non_terminating_matching_rules": BLOCKED["nonTerminatingMatchingRules"],
            "aws.waf.oversize_fields": ["REQUEST_BODY"],
            "aws.waf.rate_based_rule_list": BLOCKED["rateBasedRuleList"],
            "aws.waf.request_body_size": 12_000,
            "aws.waf.request_body_size_inspected_by_waf": 8192,
            "aws.waf.response_code_sent": 403,
            "aws.waf.rule_group_list": [
                {
                    "ruleGroupId": "AWS#AWSManagedRulesSQLiRuleSet",
                    "terminatingRule": {"ruleId": "SQLi_BODY", "action": "BLOCK"},
                }
            ],
            "aws.waf.source.id": "E1",
            "aws.waf.source.name": "CF",
            "aws.waf.terminating_rule_match_details": [MATCHED],
            "cloud.account.id": "111122223333",
            "cloud.region": "us-east-1",
            "cloud.service.name": "wafv2",
            "event.action": "BLOCK",
            "event.category": ["web", "network"],
            "event.type": ["access", "denied"],
            "host.domain": "shop.example",
            "http.request.id": "rid",
            "http.request.method": "POST",
            "http.version": "2.0",
            "network.protocol": "http",
            "network.transport": "tcp",
            "related.ip": ["203.0.113.7"],
            "rule.id": "refuse",
            "rule.ruleset": "GROUP",
            "source.geo.country_iso_code": "SE",
            "source.ip": "203.0.113.7",
            "tls.client.ja3": "f79b6bad2ad0641e1921aef10262856b",
            "url.fragment": "top",
            "url.path": "/pay",
            "url.query": "id=1",
            "url.scheme": "https",
            "user_agent.name": "curl",
        },
    )
    assert found["aws"]["waf"]["request"]["headers"] == {
        "Host": "shop.example",
        "user-agent": "curl/8.5.0",
        "x.a.b": "1",
    }
    assert found["aws"]["waf"]["request_headers_inserted"] == {"x-amzn-waf-a": "b"}


def test_what_a_database_says_of_an_address_counts_for_more():
    """And what it says, shared by all documents of the address, is not changed."""
    partly, wholly = {"geo": {"country_name": "Utopia"}}, {"geo": {"country_iso_code": "UT"}, "as": {"number": 64500}}
    holds(made(BLOCKED, lookups=Lookups(geo=lambda _: wholly)), {"source.geo.country_iso_code": "UT"})
    both = {"source.geo.country_iso_code": "SE", "source.geo.country_name": "Utopia"}
    holds(made(BLOCKED, lookups=Lookups(geo=lambda _: partly)), both)
    assert partly == {"geo": {"country_name": "Utopia"}}


def test_an_allowed_request_may_say_little():
    """A time in words, an ACL of the classic kind, dashes, the network's number at the top."""
    found = made(ALLOWED)
    expected = {
        "@timestamp": "2026-01-15T10:00:01.500Z",
        "event.type": ["access", "allowed"],
        "source.as.number": 64501,
    }
    holds(found, expected | {"aws.waf.arn": "no-arn", "cloud.account.id": "111122223333", "http.version": "1.1"})
    assert set(found["aws"]["waf"]) == {"arn"}
    assert "geo" not in found["source"]


def test_an_event_of_a_log_group_has_its_requests_own_time():
    """The group and stream are named; the id is CloudWatch's."""
    event = LogEvent("3" * 56, 1_768_471_299_000, LogStream("111122223333", "us-east-1", "aws-waf-logs-a", "s"))
    holds(
        made(BLOCKED, event=event),
        {"@timestamp": "2026-01-15T10:00:00.123Z", "aws.cloudwatch.log_group": "aws-waf-logs-a", "event.id": "3" * 56},
    )


@pytest.mark.parametrize(("said", "time_ms"), [(BLOCKED, 1_768_471_200_123), (ALLOWED, 1_768_471_201_500)])
def test_splunk_gets_the_record_with_its_own_time_under_the_same_id(said, time_ms):
    """With the sourcetype that add-ons for it know."""
    line = orjson.dumps(said)
    (record,) = LOG_TYPES["waf"].format(ReadLimits()).records(Payload(ORIGIN, iter([line + b"\n"])))
    assert isinstance(record, Record)
    documents = [
        LOG_TYPES["waf"].splunk("", "", Lookups()).encoder(ORIGIN)(record),
        LOG_TYPES["waf"].ecs("default", Lookups()).encoder(ORIGIN)(record),
    ]
    assert [each.time_ms for each in documents if each] == [time_ms] * 2
    assert len({each.id for each in documents if each}) == 1
    assert documents[0] is not None
    envelope = orjson.loads(documents[0].body)
    assert (envelope["sourcetype"], envelope["event"]) == ("aws:waf", line.decode())


def test_its_folder_has_one_for_each_acl():
    """So that a listing finds them, and a key of CloudFront's tells no region."""
    services = services_of("waf")
    acl = KEY.partition("2026/")[0]
    scope = scope_of(KEY)
    assert scope is not None
    assert (scope.prefix, scope_of(acl, services)) == (acl, scope)
    parents = [
        "AWSLogs/",
        "AWSLogs/111122223333/",
        "AWSLogs/111122223333/WAFLogs/",
        "AWSLogs/111122223333/WAFLogs/cloudfront/",
    ]
    assert [(leads_to_scopes(each, services), scope_of(each, services)) for each in parents] == [(True, None)] * 4
    assert not leads_to_scopes(acl, services)
    assert not leads_to_scopes("AWSLogs/111122223333/WAFLogs/", services_of("cloudtrail"))
    assert account_and_region(KEY) == ("111122223333", "")


def test_its_events_are_told_from_others():
    """By the group's name, which AWS prescribes; their form is a hint. Filters know AWS's own names."""
    line = orjson.dumps(BLOCKED).decode()
    assert [told("aws-waf-logs-a", "x"), told("g", line), told("g", "{}")] == [
        ("waf", None),
        ("cloudwatch", "waf"),
        ("cloudwatch", None),
    ]
    keeps = read_filter('drop action == "ALLOW" or httpRequest.country == "NO"').on_records()
    assert [keeps(Record(orjson.dumps(said), 1)) for said in EVENTS] == [True, False]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*BLOCKED, "name", ""]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted({*BLOCKED, *BLOCKED["httpRequest"]})), VALUES), VALUES)
def test_any_values_make_a_document(changed, request):
    """Of whatever kind they are where another is expected."""
    made(BLOCKED | changed | {"timestamp": BLOCKED["timestamp"]})
    made(BLOCKED | {"httpRequest": request if isinstance(request, dict) else BLOCKED["httpRequest"] | changed})


@pytest.mark.parametrize("solved", [0, -1, 10**17, "soon"])
def test_a_token_that_was_solved_at_no_time_has_none(solved):
    """The rest of it stands."""
    token = {"responseCode": 200, "solveTimestamp": solved}
    assert made(BLOCKED | {"challengeResponse": token})["aws"]["waf"]["challenge_response"] == {"response_code": 200}


def test_a_line_that_is_no_object_is_shipped_as_it_is():
    """With its text as the message."""
    assert made(["no", "object"])["message"] == '["no","object"]'
