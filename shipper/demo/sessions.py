"""Temporary credentials as CloudTrail writes of them: who acts in a role, and the calls that handed its keys out.

https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from shipper.demo.calls import access_key, letters
from shipper.demo.cast import Account

_PROVIDER = "AWSSSO_6b1f0c2d_DO_NOT_DELETE"


def iso(when: datetime) -> str:
    """Return a time as CloudTrail writes it."""
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"


def role_session(
    rng: Random,
    account: Account,
    role: str,
    name: str,
    began: datetime,
    *,
    path: str = "",
    source_identity: str | None = None,
) -> dict[str, Any]:
    """Return `userIdentity` of who acts in a role.

    Args:
        name: of the session.
        path: of the role, with its last slash.
        source_identity: what was given when the session began; all its records carry it.
    """
    principal = f"AROA{letters(Random(account.id + role), 17).upper()}"
    context: dict[str, Any] = {
        "sessionIssuer": {
            "type": "Role",
            "principalId": principal,
            "arn": f"arn:aws:iam::{account.id}:role/{path}{role}",
            "accountId": account.id,
            "userName": role,
        },
        "attributes": {"creationDate": iso(began.astimezone(UTC)), "mfaAuthenticated": "false"},
    }
    if source_identity:
        context["sourceIdentity"] = source_identity
    return {
        "type": "AssumedRole",
        "principalId": f"{principal}:{name}",
        "arn": f"arn:aws:sts::{account.id}:assumed-role/{role}/{name}",
        "accountId": account.id,
        "accessKeyId": access_key(rng, "ASIA"),
        "sessionContext": context,
    }


def answer(rng: Random, session: dict[str, Any], began: datetime) -> dict[str, Any]:
    """Return `responseElements` of the call that opened a session."""
    return {
        "credentials": {
            "accessKeyId": session["accessKeyId"],
            "sessionToken": "made-up-" + letters(rng, 64),
            "expiration": f"{began + timedelta(hours=1):%b %d, %Y, %I:%M:%S %p}",
        },
        "assumedRoleUser": {"assumedRoleId": session["principalId"], "arn": session["arn"]},
    }


def saml_user(name: str) -> dict[str, Any]:
    """Return `userIdentity` of someone whom the organisation's identity provider vouches for."""
    return {
        "type": "SAMLUser",
        "principalId": f"{letters(Random(name), 27)}=:{name}",
        "userName": name,
        "identityProvider": f"{letters(Random(name), 27)}=",
    }


def asked_by_saml(rng: Random, session: dict[str, Any]) -> dict[str, Any]:
    """Return `requestParameters` of AssumeRoleWithSAML for a session."""
    return {
        "sAMLAssertionID": f"_{letters(rng, 32)}",
        "roleSessionName": session["arn"].rpartition("/")[2],
        "durationSeconds": 43_200,
        "roleArn": session["sessionContext"]["sessionIssuer"]["arn"],
        "principalArn": f"arn:aws:iam::{session['accountId']}:saml-provider/{_PROVIDER}",
    }
