"""IAM tags over HTTP from an emulator: two accounts, the second through an assumed role; each call is known."""

from __future__ import annotations

import json
import time

import pytest

from shipper import build, config
from shipper.aws import AwsSessions
from shipper.config.values import Surroundings
from shipper.enrich.background import Policy
from shipper.enrich.iam import IamPrincipals
from shipper.enrich.iam_accounts import IamAccounts
from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import IamPrincipal
from shipper.ports import Stop
from tests.parts import moto

OWN, OTHER = "123456789012", "444455556666"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


@pytest.fixture(scope="module")
def emulator():
    with pytest.MonkeyPatch.context() as patch:
        moto.set_credentials(patch)
        with moto.running() as running:
            own = AwsSessions(running.settings()).client("iam")
            role = AwsSessions(running.settings(role_arn=f"arn:aws:iam::{OTHER}:role/shipper-enrich"))
            other = role.client("iam")
            tags = [{"Key": "team", "Value": "payments"}]
            own.create_role(
                RoleName="deploy", Path="/ci/", Description="Deploys", AssumeRolePolicyDocument=TRUST, Tags=tags
            )
            own.create_user(UserName="bob", Path="/people/", Tags=[{"Key": "owner", "Value": "bob@example.com"}])
            other.create_role(
                RoleName="deploy", AssumeRolePolicyDocument=TRUST, Tags=[{"Key": "team", "Value": "other"}]
            )
            yield running


def test_roles_and_users_are_found_in_both_accounts(emulator):
    """The same name in two accounts is two roles; what is not there is nothing."""
    fetch = IamAccounts(emulator.settings(), "shipper-enrich", "external")
    assert fetch(f"arn:aws:iam::{OWN}:role/deploy") == IamPrincipal("/ci/", "Deploys", {"team": "payments"})
    assert fetch(f"arn:aws:iam::{OWN}:user/bob") == IamPrincipal("/people/", None, {"owner": "bob@example.com"})
    other = fetch(f"arn:aws:iam::{OTHER}:role/deploy")
    assert other is not None
    assert other.tags == {"team": "other"}
    assert fetch(f"arn:aws:iam::{OWN}:role/nobody") is None
    assert fetch(f"arn:aws:iam::{OTHER}:user/bob") is None


def test_other_accounts_need_a_role(emulator):
    """The failure says which key is missing."""
    with pytest.raises(RetryableError, match=r"enrich\.iam\.role_name") as caught:
        IamAccounts(emulator.settings(), None, None)(f"arn:aws:iam::{OTHER}:role/deploy")
    assert caught.value.paused


def test_a_server_that_is_not_there_costs_nothing_but_tags(emulator):
    """Unreachable is a failure to try again, not an exception that ends anything."""
    fetch = IamAccounts(emulator.settings(endpoint_url="http://127.0.0.1:9"), "shipper-enrich", None)
    with pytest.raises(RetryableError):
        fetch(f"arn:aws:iam::{OWN}:role/deploy")


def test_tags_arrive_in_the_background(emulator):
    """From the first question to the answer, over HTTP."""
    stop = Stop()
    fetch = IamAccounts(emulator.settings(), "shipper-enrich", None)
    principals = IamPrincipals(fetch, Metrics(), stop, Policy(requests_per_second=100))
    arn = f"arn:aws:iam::{OTHER}:role/deploy"
    deadline = time.monotonic() + 60
    try:
        while (found := principals(arn)) is None:
            assert time.monotonic() < deadline
            stop.rest(0.01)
    finally:
        stop.request()
    assert found.tags == {"team": "other"}


def test_the_configuration_turns_it_on(emulator):
    """What the file says reaches IAM: accounts, chosen tags; without the section, or a daemon, nothing is asked."""
    sections = "sources: {t: {type: s3, bucket: abc}}\nsinks: {a: {type: archive, path: a}}\n"
    sections += f"aws: {{region: us-east-1, endpoint_url: '{emulator.url}'}}\n"
    iam = "enrich: {iam: {role_name: shipper-enrich, without_tags: [team], requests_per_second: 100}}\n"
    plain, chosen = (
        config.parse(text, name="f", environ={}, around=Surroundings()) for text in (sections, sections + iam)
    )
    stop = Stop()
    assert build.lookups(plain, Metrics(), stop).principals is None
    assert build.lookups(chosen).principals is None
    principals = build.lookups(chosen, Metrics(), stop).principals
    assert principals is not None
    deadline = time.monotonic() + 60
    try:
        while (found := principals(f"arn:aws:iam::{OWN}:role/deploy")) is None:
            assert time.monotonic() < deadline
            stop.rest(0.01)
    finally:
        stop.request()
    assert found == IamPrincipal("/ci/", "Deploys", {})
