"""Writes records as CloudTrail does, versions 1.08 to 1.11.

Fields: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from random import Random
from typing import Any

from shipper.demo.calls import Call, access_key, letters
from shipper.demo.cast import DOMAIN, Account, Actor
from shipper.demo.sessions import answer, asked_by_saml, iso, role_session, saml_user

_VERSIONS = ("1.08", "1.09", "1.09", "1.10", "1.11")
_DENIED = {"s3": "AccessDenied", "ec2": "Client.UnauthorizedOperation"}


class Clerk:
    """Turns calls into records, with ids and sessions that the random numbers determine.

    Attributes:
        opened: records of sessions that people opened, each made when the first call of a session was.
    """

    def __init__(self, rng: Random) -> None:
        self.opened: list[tuple[Account, datetime, dict[str, Any]]] = []
        self._rng = rng
        self._sessions: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._versions: dict[str, str] = {}

    def event_id(self) -> str:
        """Return a GUID."""
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def record(
        self,
        call: Call,
        actor: Actor,
        account: Account,
        when: datetime,
        *,
        identity: dict[str, Any] | None = None,
        address: str | None = None,
        agent: str | None = None,
        request: Any = None,
        response: Any = None,
        error: tuple[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return one record of an API call; what is not given is drawn from the call's makers.

        Args:
            identity: as whom, where that is not the actor's usual way.
        """
        rng = self._rng
        region = call.region or account.region
        identity = identity or self.identity(actor, account, when)
        if error is None and actor.kind != "service" and rng.randrange(1000) < call.denied:
            error = _refusal(call, identity, account)
        if request is None and call.request:
            request = call.request(rng, account)
        if response is None and call.response and error is None:
            response = call.response(rng, account)
        address = address or rng.choice(actor.addresses)
        record: dict[str, Any] = {
            "eventVersion": self._versions.setdefault(call.service, rng.choice(_VERSIONS)),
            "userIdentity": identity,
            "eventTime": iso(when),
            "eventSource": f"{call.service}.amazonaws.com",
            "eventName": call.name,
            "awsRegion": region,
            "sourceIPAddress": address,
            "userAgent": agent or actor.agent,
        }
        if error:
            record["errorCode"], record["errorMessage"] = error
        record["requestParameters"] = request
        record["responseElements"] = response
        if call.extra:
            record["additionalEventData"] = call.extra(rng, account)  # noqa: S610 - no Django here
        record["requestID"] = letters(rng, 16).upper() if call.service == "s3" else self.event_id()
        record["eventID"] = self.event_id()
        record["readOnly"] = call.read
        if call.resources and request:
            record["resources"] = call.resources(request, account, region)
        record |= _category(call, account)
        if actor.kind == "service":
            record["sharedEventID"] = self.event_id()
        elif not address.endswith(".amazonaws.com"):
            record["tlsDetails"] = _tls(f"{call.service}.{region}.amazonaws.com")
            if actor.kind == "sso" and "Mozilla" in record["userAgent"]:
                record["sessionCredentialFromConsole"] = "true"
        return record

    def sign_in(
        self, account: Account, identity: dict[str, Any], when: datetime, address: str, agent: str, *, mfa: bool = True
    ) -> dict[str, Any]:
        """Return the record of a successful sign-in to the console."""
        return {
            "eventVersion": "1.08",
            "userIdentity": identity,
            "eventTime": iso(when),
            "eventSource": "signin.amazonaws.com",
            "eventName": "ConsoleLogin",
            "awsRegion": account.region,
            "sourceIPAddress": address,
            "userAgent": agent,
            "requestParameters": None,
            "responseElements": {"ConsoleLogin": "Success"},
            "additionalEventData": {
                "LoginTo": f"https://{account.region}.console.aws.amazon.com/console/home?region={account.region}",
                "MobileVersion": "No",
                "MFAUsed": "Yes" if mfa else "No",
            },
            "eventID": self.event_id(),
            "readOnly": False,
            "eventType": "AwsConsoleSignIn",
            "managementEvent": True,
            "recipientAccountId": account.id,
            "eventCategory": "Management",
            "tlsDetails": _tls(f"{account.region}.signin.aws.amazon.com"),
        }

    def failed_sign_in(
        self, account: Account, identity: dict[str, Any], when: datetime, address: str, agent: str
    ) -> dict[str, Any]:
        """Return the record of a refused sign-in."""
        record = self.sign_in(account, identity, when, address, agent, mfa=False)
        record["errorMessage"] = "Failed authentication"
        record["responseElements"] = {"ConsoleLogin": "Failure"}
        return record

    def identity(self, actor: Actor, account: Account, when: datetime) -> dict[str, Any]:
        """Return `userIdentity`; sessions last for a day (people) or for an hour (machines)."""
        part = f"{when:%Y-%m-%d}" if actor.kind in {"sso", "user"} else f"{when:%Y-%m-%dT%H}"
        key = (actor.name, account.id, part if actor.kind != "user" else "")
        known = self._sessions.get(key)
        if known is None:
            known = self._sessions[key] = self._new_identity(actor, account, when)
        return known

    def _new_identity(self, actor: Actor, account: Account, when: datetime) -> dict[str, Any]:
        if actor.kind == "service":
            return {"type": "AWSService", "invokedBy": actor.name}
        if actor.kind == "user":
            return self.user(account, actor.name, access_key(self._rng, "AKIA"))
        identity = self._session(actor, account, when)
        if actor.addresses[0].endswith(".amazonaws.com"):
            identity["invokedBy"] = actor.addresses[0]
        return identity

    def user(self, account: Account, name: str, key: str | None) -> dict[str, Any]:
        """Return the identity of an IAM user, with the access key it used."""
        identity = {
            "type": "IAMUser",
            "principalId": f"AIDA{letters(Random(name), 17).upper()}",
            "arn": f"arn:aws:iam::{account.id}:user/{name}",
            "accountId": account.id,
            "userName": name,
        }
        if key:
            identity["accessKeyId"] = key
        return identity

    def assume(
        self,
        actor: Actor,
        account: Account,
        when: datetime,
        role: str,
        name: str,
        *,
        source_identity: str | None = None,
        **details: Any,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Let someone take on a role of an account by AssumeRole.

        Args:
            name: of the session.
            source_identity: as the caller gives it.
            details: as `record` takes them; `identity` is the caller's.

        Returns:
            the record of the call, and the identity of what is done in the session.
        """
        session = role_session(self._rng, account, role, name, when, source_identity=source_identity)
        request = {"roleArn": f"arn:aws:iam::{account.id}:role/{role}", "roleSessionName": name}
        response = answer(self._rng, session, when)
        if source_identity:
            request["sourceIdentity"] = response["sourceIdentity"] = source_identity
        call = Call("sts", "AssumeRole")
        return self.record(call, actor, account, when, request=request, response=response, **details), session

    def _session(self, actor: Actor, account: Account, when: datetime) -> dict[str, Any]:
        """Return the identity of a session that began a while before its first call; people open theirs by SAML."""
        sso = actor.kind == "sso"
        role = f"AWSReservedSSO_{actor.role}_3f81c0a2b7d4e5f6" if sso else actor.role
        began = when - timedelta(minutes=self._rng.randrange(1, 20))
        name = f"{actor.name}@{DOMAIN}" if sso else actor.name
        path = "aws-reserved/sso.amazonaws.com/" if sso else ""
        identity = role_session(self._rng, account, role, name, began, path=path)
        if actor.kind == "web_identity":
            provider = f"arn:aws:iam::{account.id}:oidc-provider/token.actions.githubusercontent.com"
            identity["sessionContext"]["webIdFederationData"] = {"federatedProvider": provider, "attributes": {}}
        if sso:
            call = Call("sts", "AssumeRoleWithSAML")
            said = asked_by_saml(self._rng, identity), answer(self._rng, identity, began)
            record = self.record(
                call, actor, account, began, identity=saml_user(name), request=said[0], response=said[1]
            )
            self.opened.append((account, began, record))
        return identity


def _category(call: Call, account: Account) -> dict[str, Any]:
    return {
        "eventType": "AwsApiCall",
        "managementEvent": not call.data,
        "recipientAccountId": account.id,
        "eventCategory": "Data" if call.data else "Management",
    }


def _tls(host: str) -> dict[str, str]:
    return {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256", "clientProvidedHostHeader": host}


def _refusal(call: Call, identity: dict[str, Any], account: Account) -> tuple[str, str]:
    who = identity.get("arn", account.id)
    what = f"User: {who} is not authorized to perform: {call.service}:{call.name}"
    return _DENIED.get(call.service, "AccessDenied"), f"{what} because no identity-based policy allows the action"
