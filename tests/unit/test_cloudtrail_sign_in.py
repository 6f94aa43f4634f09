"""Failed sign-ins are failures, wherever CloudTrail says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shipper.model import Origin, Record
from shipper.schemas.ecs.cloudtrail import CloudTrailEcs

SIGN_IN = {"eventSource": "signin.amazonaws.com", "eventType": "AwsConsoleSignIn"}
SERVICE = {"eventSource": "signin.amazonaws.com", "eventType": "AwsServiceEvent"}
CALL = {"eventSource": "iam.amazonaws.com", "eventType": "AwsApiCall"}


@pytest.fixture(params=[True, False], ids=["native", "python"])
def outcome(request: pytest.FixtureRequest) -> Any:
    """Gives the outcome of a record with some fields: natively, where that module is installed, and in Python."""
    encode = CloudTrailEcs("default", None, native=request.param).encoder(
        Origin("s3://trail/x.json", "trail", "x.json")
    )

    def mapped(**fields: Any) -> str:
        usual = {"eventTime": "2026-01-15T10:00:00Z", "eventID": "e-1", "recipientAccountId": "111122223333"}
        made = encode(Record(json.dumps(usual | fields, separators=(",", ":")).encode(), 1))
        assert made is not None
        text: str = json.loads(made.body)["event"]["outcome"]
        return text

    return mapped


@pytest.mark.parametrize(
    "name",
    [
        *["ConsoleLogin", "SwitchRole", "ExitRole", "RenewRole", "CheckMfa", "GetSigninToken", "PasswordUpdated"],
        *["PasswordRecoveryRequested", "PasswordRecoveryCompleted", "ExternalIdPDirectoryLogin", "EmailUpdated"],
    ],
)
@pytest.mark.parametrize(("answer", "expected"), [("Failure", "failure"), ("Success", "success")])
def test_the_answer_of_a_console_sign_in_decides(outcome, name, answer, expected):
    assert outcome(**SIGN_IN, eventName=name, responseElements={name: answer}) == expected
    assert outcome(**SIGN_IN, eventName=name, responseElements=None, additionalEventData={name: answer}) == expected


@pytest.mark.parametrize("name", ["CredentialChallenge", "CredentialVerification", "UserAuthentication"])
@pytest.mark.parametrize(("answer", "expected"), [("Failure", "failure"), ("Success", "success")])
def test_the_details_of_identity_center_and_workspaces_decide(outcome, name, answer, expected):
    for source in ("signin.amazonaws.com", "sso.amazonaws.com", "workspaces.amazonaws.com"):
        fields = SERVICE | {"eventSource": source, "eventName": name, "serviceEventDetails": {name: answer}}
        assert outcome(**fields, additionalEventData={"UserName": "eve", "CredentialType": "TOTP"}) == expected


def test_any_failure_of_a_sign_in_counts_where_none_has_its_name(outcome):
    """The event's own name is stronger than other values; only events that are no calls are read that way."""
    details = {"step": "Success", "CredentialVerification": "Failure"}
    assert outcome(**SERVICE, eventName="UserAuthentication", serviceEventDetails=details) == "failure"
    own = details | {"UserAuthentication": "Success"}
    assert outcome(**SERVICE, eventName="UserAuthentication", serviceEventDetails=own) == "success"
    assert outcome(**CALL, eventName="GetLoginProfile", responseElements={"status": "Failure"}) == "success"
    assert outcome(**CALL, eventName="GetLoginProfile", responseElements={"GetLoginProfile": "Failure"}) == "failure"


def test_a_user_of_that_name_is_no_failure(outcome):
    """What people choose themselves decides nothing."""
    fields = {"serviceEventDetails": {"step": 1}, "additionalEventData": {"UserName": "Failure"}}
    assert outcome(**SERVICE, eventName="UserAuthentication", **fields) == "success"


def test_an_error_is_a_failure_whatever_else_is_stated(outcome):
    fields = {"errorMessage": "Failed authentication", "responseElements": {"SwitchRole": "Success"}}
    assert outcome(**SIGN_IN, eventName="SwitchRole", **fields) == "failure"
    assert outcome(**CALL, eventName="GetUser", errorCode="AccessDenied") == "failure"
    assert outcome(**CALL, eventName="GetUser", responseElements={"user": {"userName": "eve"}}) == "success"
