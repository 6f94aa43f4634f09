"""What the native encoder needs of this mapping: the parts of documents that are equal in many records, as JSON.

The encoder (`native/src/encoder.rs`) writes the usual records faster and leaves all others to the Python code here,
which says what a document is; `tests/unit/test_native.py` holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from msgspec import Raw

from shipper import native
from shipper.model import IamPrincipal
from shipper.ports import PrincipalLookup, SessionLookup
from shipper.schemas.cloudtrail_record import CloudTrailRecord, decoded, time_of
from shipper.schemas.ecs.cloudtrail_details import connections
from shipper.schemas.ecs.cloudtrail_event import add_event
from shipper.schemas.ecs.cloudtrail_identity import Identity, identity
from shipper.schemas.ecs.cloudtrail_lessons import Lessons
from shipper.schemas.ecs.cloudtrail_parts import Parts
from shipper.schemas.ecs.cloudtrail_person import Person, person_of
from shipper.schemas.ecs.cloudtrail_principal import principal_fields
from shipper.schemas.ecs.cloudtrail_targets import KIND_OF_PREFIX, KIND_OF_RESOURCE, PATHS
from shipper.schemas.ecs.places import Places
from shipper.schemas.ecs.threats import Threats
from shipper.schemas.ecs.user_agent import user_agent

if TYPE_CHECKING:
    from shipper_native import CloudTrailEncoder

_MOST_KEPT = 8_192

Place = Callable[[str], tuple[orjson.Fragment, list[str] | None, orjson.Fragment | None]]
_Extra = tuple[bytes, bytes, bytes, bytes]


class _Identity(NamedTuple):
    """An identity as the encoder takes it: JSON, and what stands between the quotes of JSON strings."""

    fields: bytes | None
    user: bytes
    user_without_entity: bytes
    account: bytes
    users: list[bytes]
    entities: list[bytes]
    actor: bytes | None
    acting: str | None
    service: bytes | None
    assumed: bytes | None
    known: Identity


class _LeftToPythonError(Exception):
    """What the encoder asks for is more than it can write; it leaves the record, and remembers nothing."""


def native_encoder(
    place: Place,
    principals: PrincipalLookup | None = None,
    sessions: SessionLookup | None = None,
    lessons: Lessons | None = None,
    threats: Threats | None = None,
    *,
    names: Places | None = None,
) -> CloudTrailEncoder | None:
    """Return an encoder, None where the native module is not installed.

    Args:
        principals: see `CloudTrailEcs`, as sessions.
        lessons: gets the records that others learn from.
        threats: records that have one are left to the Python code.
        names: what accounts and regions are called; `forget_calls` when that changes.
        place: of an address, ECS's `source`, itself where it is an IP address, and ECS's `cloud.origin`.
    """

    def placed(address: bytes) -> tuple[bytes, bool, bytes]:
        text = address.decode()
        if threats is not None and threats.names(text, None):
            raise _LeftToPythonError
        source, found, cloud = place(text)
        return orjson.dumps(source), bool(found), orjson.dumps(cloud) if cloud is not None else b""

    def learned(raw: bytes) -> None:
        event = decoded(raw)
        if lessons is not None:
            lessons.learn(event, time_of(event.event_time)[0])

    def agent(written: bytes) -> bytes:
        text = orjson.loads(written)
        if threats is not None and threats.names(None, text):
            raise _LeftToPythonError
        return orjson.dumps(user_agent(text))

    if native.CloudTrailEncoder is None:
        return None
    callers = _Callers(principals, sessions) if principals is not None or sessions is not None else None
    return native.CloudTrailEncoder(
        _tables(),
        _identity,
        lambda raw: _call(raw, names),
        placed,
        agent,
        _connection,
        {source: list(names) for source, names in lessons.calls.items()} if lessons is not None else {},
        learned if lessons is not None else None,
        callers.extra if callers is not None else None,
    )


class _Callers:
    """What is known of callers now, as JSON; written anew only where what is known of one is other than before."""

    def __init__(self, principals: PrincipalLookup | None, sessions: SessionLookup | None) -> None:
        self._principals = principals
        self._sessions = sessions
        self._kept: dict[int, tuple[Identity, IamPrincipal | None, Person | None, _Extra]] = {}

    def extra(self, who: Identity) -> _Extra | None:
        principals, sessions, kept = self._principals, self._sessions, self._kept
        found = principals(who.principal) if principals is not None and who.principal is not None else None
        person = person_of(sessions, who) if sessions is not None else None
        if found is None and person is None:
            return None
        known = kept.get(id(who))
        if known is not None and known[0] is who and known[1] is found and known[2] is person:
            return known[3]
        if len(kept) >= _MOST_KEPT:
            kept.clear()
        extra = _extra(found, who, person)
        kept[id(who)] = (who, found, person, extra)  # holds the identity, so that no other gets the same id
        return extra


def _extra(found: IamPrincipal | None, who: Identity, person: Person | None) -> _Extra:
    parts = []
    if found is not None and who.principal is not None:
        parts.append(b'"iam":' + orjson.dumps(principal_fields(who.principal, found)))
    if person is None:
        return b",".join(parts), b"", b"", b""
    if person.session is not None:
        parts.append(b'"session":' + orjson.dumps(person.session))
    name, address = person.name, person.address
    return (
        b",".join(parts),
        orjson.dumps(person.effective) if name is not None else b"",
        _inner(name) if name is not None else b"",
        _inner(address) if address is not None else b"",
    )


def _tables() -> dict[str, Any]:
    def listed(ways: dict[str, Any]) -> list[tuple[str, list[tuple[str, Any]]]]:
        return [(part, list(keys.items())) for part, keys in ways.items()]

    services = {
        service: (listed(paths.related), {event: listed(ways) for event, ways in paths.targets.items()})
        for service, paths in PATHS.items()
    }
    return {"services": services, "resources": KIND_OF_RESOURCE, "prefixes": KIND_OF_PREFIX}


def _identity(data: bytes) -> _Identity:
    who = identity(Raw(data))
    bare = {name: value for name, value in who.user.items() if name != "entity"}
    return _Identity(
        fields=orjson.dumps(who.fields) if who.fields is not None else None,
        user=orjson.dumps(who.user)[1:-1],
        user_without_entity=orjson.dumps(bare)[1:-1],
        account=_inner(who.account or ""),
        users=[_inner(text) for text in who.users],
        entities=[_inner(text) for text in who.entities],
        actor=_inner(who.actor) if who.actor else None,
        acting=who.acting or None,
        service=_inner(who.service) if who.service else None,
        assumed=_inner(who.issuer_arn) if who.type == "AssumedRole" and who.issuer_arn else None,
        known=who,
    )


def _call(raw: bytes, names: Places | None) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """What all records of a kind share in `aws.cloudtrail`, `event`, `cloud`, beside them, in `aws`; without braces."""
    event = decoded(raw)
    event.event_id = event.request_id = event.shared_event_id = None
    fields: dict[str, Any] = {}
    trail: dict[str, Any] = {}
    add_event(fields, trail, event, identity(event.user_identity), Parts(CloudTrailRecord()))
    trail.pop("error_message", None)
    aws: dict[str, Any] = {}
    if names is not None:
        fields["aws"] = aws
        names.add(fields)
        del fields["aws"]
    parts = trail, fields.pop("event"), fields.pop("cloud"), fields, aws
    trail_json, event_json, cloud_json, rest, beside = (orjson.dumps(part)[1:-1] for part in parts)
    return trail_json, event_json, cloud_json, rest, beside


def _connection(data: bytes) -> bytes:
    tls = connections(data)
    return orjson.dumps(tls) if tls is not None else b""


def _inner(text: str) -> bytes:
    return orjson.dumps(text)[1:-1]
