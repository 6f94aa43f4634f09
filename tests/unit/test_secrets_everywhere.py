"""Made secrets in every form go through every log type, for every kind of sink, and none of them comes out."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import orjson
import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from shipper import build, config
from shipper.build import LOG_TYPES
from shipper.build.enrichment import redacted
from shipper.delivery import Patience
from shipper.metrics import Metrics
from shipper.model import (
    AccountFacts,
    IamPrincipal,
    Instance,
    InterfaceOwner,
    NetworkInterface,
    ReadLimits,
    Resource,
)
from shipper.ports import Lookups, Stop
from shipper.redaction import Redactor, Rule
from shipper.shipping import Lane, Route, Shipper
from tests.fakes.pipeline import LinesReader, MemoryDeadLetters, MemorySink, lines_split
from tests.fakes.secrets import Made, made_secrets

SECRETS = list(made_secrets())
CANARY = re.compile(rb"cAn4ry\d{5}x")
TRAIL = {"eventVersion": "1.11", "eventTime": "2026-01-02T03:04:05Z", "eventName": "Name", "eventSource": "x.aws"}
LIMITS = ReadLimits()


def _trail(made: Made, number: int) -> dict[str, Any]:
    parameters = json.loads(made.text) if made.json else {"url": made.text}
    return {**TRAIL, "eventID": f"id-{number}", "requestParameters": parameters, "userAgent": made.text}


def _waf(made: Made) -> dict[str, Any]:
    request = {
        "clientIp": "192.0.2.1",
        "args": made.text,
        "headers": [{"name": "cookie", "value": made.text}, {"name": "X-Other", "value": made.text}],
    }
    return {
        "timestamp": 1_700_000_000_000,
        "webaclId": "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/x/y",
        "terminatingRuleId": "Default_Action",
        "action": "ALLOW",
        "httpRequest": request,
    }


def _s3access(text: str) -> str:
    return (
        f"79a5 amzn-s3-demo-bucket [06/Feb/2019:00:00:38 +0000] 192.0.2.3 79a5 3E57427F3EXAMPLE REST.GET.OBJECT k "
        f'"{text}" 200 - 113 - 7 - "-" "S3Console/0.4" - s9lz SigV4 ECDHE Header host.example TLSv1.2 - -'
    )


def _elb(text: str) -> str:
    return (
        "https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.086 "
        f'0.048 0.037 200 200 0 57 "{text}" "curl/7.46.0" ECDHE TLSv1.2 arn "Root=1" "h" "arn" 1 '
        '2018-07-02T22:22:48.364000Z "authenticate,forward" "-" "-" "10.0.0.1:80" "200" "-" "-"'
    )


def _urls() -> list[str]:
    return [made.text for made in SECRETS if not made.json and made.text.startswith("GET ")]


def _envelope(messages: list[str]) -> bytes:
    events = [
        {"id": f"{number:056d}", "timestamp": 1_700_000_000_000 + number, "message": message}
        for number, message in enumerate(messages)
    ]
    return orjson.dumps(
        {
            "messageType": "DATA_MESSAGE",
            "owner": "123456789012",
            "logGroup": "/app",
            "logStream": "s",
            "logEvents": events,
        }
    )


CONTENTS: dict[str, bytes] = {
    "lines": "\n".join(made.text.replace("\n", "\\n").replace("\r", "\\r") for made in SECRETS).encode(),
    "CloudTrail": orjson.dumps({"Records": [_trail(made, number) for number, made in enumerate(SECRETS)]}),
    "CloudTrail lines": b"\n".join(orjson.dumps(_trail(made, number)) for number, made in enumerate(SECRETS)),
    "S3 access lines": "\n".join(map(_s3access, _urls())).encode(),
    "ELB lines": "\n".join(map(_elb, _urls())).encode(),
    "WAF": b"\n".join(orjson.dumps(_waf(made)) for made in SECRETS),
    "envelopes": _envelope([made.text for made in SECRETS]),
    "envelopes of CloudTrail": _envelope([json.dumps(_trail(made, number)) for number, made in enumerate(SECRETS)]),
}


@pytest.mark.parametrize("logs", LOG_TYPES)
def test_no_secret_leaves_by_any_log_type(logs):
    """Not in documents for either kind of sink, nor in dead letters, log lines or metrics."""
    log_type = LOG_TYPES[logs]
    metrics, letters = Metrics(), MemoryDeadLetters()
    sinks = [MemorySink("ecs"), MemorySink("hec", "splunk")]
    lanes = (
        Lane({logs: log_type.ecs("default", Lookups())}, (sinks[0],)),
        Lane({logs: log_type.splunk("", "", Lookups())}, (sinks[1],)),
    )
    shipper = Shipper(
        formats={logs: log_type.format(LIMITS)},
        routes={"lines": Route(LinesReader(dict(CONTENTS)), lanes)},
        dead_letters=letters,
        metrics=metrics,
        stop=Stop(),
        patience=Patience(0.0),
        redact=build.redactor(config.Redact(), metrics),
    )
    with capture_logs() as lines:
        for name in CONTENTS:
            receipt = shipper.ship(replace(lines_split(name), logs=logs))
            assert receipt.unaccounted == 0
    assert any(sink.stored for sink in sinks) or letters.letters
    out = [body for sink in sinks for body in sink.stored.values()]
    out += [letter.payload + letter.answer.encode() for letter in letters.letters]
    out += [repr(lines).encode(), generate_latest(metrics.registry)]
    left = {found[0].decode() for body in out for found in CANARY.finditer(body)}
    assert not left, [made.form for made in SECRETS if made.secret in left][:10]


class Answers:
    """A lookup of every kind that brings e-mail addresses and passwords back."""

    version = 1
    owner = InterfaceOwner(
        NetworkInterface("eni-1", "1", "r", name="bob@acme.example's", tags={"owner": "bob@acme.example"}),
        Instance("i-1", 0.0, "db", {"password": "hunter2", "team": "blue"}),
        0.0,
        1.0,
    )
    account = AccountFacts("bob@acme.example", "o-1", "root/bob@acme.example", {"owner": "bob@acme.example"})

    def __call__(self, _: Any) -> Any:
        return self.account

    def interface(self, *_: Any) -> InterfaceOwner:
        return self.owner

    address = interface


def test_enrichment_brings_nothing_back():
    """What a rule takes out of records is taken out of tags, names and descriptions too; unchanged answers stay."""
    answers: Any = Answers()
    principal = IamPrincipal("/x/", "of bob@acme.example", {"owner": "bob@acme.example", "team": "blue"})
    tags = {"owner": "bob@acme.example", "password": "hunter2"}
    clean = redacted(
        Lookups(
            accounts=answers,
            interfaces=answers,
            principals=lambda _: principal,  # type: ignore[arg-type]
            resources=lambda _: tags,
        ),
        Redactor([Rule(pattern="email")], secrets=True, count=lambda *_: None),
    )
    assert clean.accounts
    assert clean.interfaces
    assert clean.principals
    assert clean.resources
    facts = clean.accounts("1")
    assert facts is clean.accounts("1")
    assert "acme" not in repr(facts)
    found = clean.principals("arn")
    assert found == IamPrincipal("/x/", "of [redacted]", {"owner": "[redacted]", "team": "blue"})
    owner = clean.interfaces.address("192.0.2.1", None, 0.0)
    assert owner is clean.interfaces.interface("eni-1", 0.0)
    assert "acme" not in repr(owner)
    assert owner.instance == Instance("i-1", 0.0, "db", {"password": "[redacted]", "team": "blue"})
    named = clean.resources(Resource("bucket", "1", "r", "n"))
    assert named == {"owner": "[redacted]", "password": "[redacted]"}
    assert redacted(Lookups(accounts=answers), None).accounts is answers
