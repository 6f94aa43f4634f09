"""Who really acted: the person, the chain of roles and the first address behind a session's records."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson

from shipper.model import Acted
from shipper.ports import SessionLookup
from shipper.schemas.cloudtrail_record import CloudTrailRecord
from shipper.schemas.ecs.addresses import is_address
from shipper.schemas.ecs.cloudtrail_identity import Identity
from shipper.schemas.session_calls import CALLS, STS, object_of, session_of

_MOST_PERSONS = 8_192


def add_person(
    sessions: SessionLookup, fields: dict[str, Any], event: CloudTrailRecord, who: Identity, time_ms: int
) -> None:
    """Add `user.effective` and `aws.session` to a document, and remember the session that its call handed out."""
    if event.event_source == STS and event.event_name in CALLS and not event.error_code:
        _learn(sessions, event, time_ms)
    acted = sessions(who.access_key) if who.access_key else None
    if acted is None and who.person is None:
        return
    related = fields["related"]
    person, effective, session, address = _written(acted, who.person)
    if session is not None:
        fields["aws"]["session"] = session
    if address is not None:
        related["ip"] = _with(related.get("ip"), address)
    if person is not None:
        user = fields.get("user")
        fields["user"] = {**(user if isinstance(user, dict) else who.user), "effective": effective}
        related["user"] = _with(related.get("user"), person)


@lru_cache(_MOST_PERSONS)
def _written(
    acted: Acted | None, own: str | None
) -> tuple[str | None, orjson.Fragment, orjson.Fragment | None, str | None]:
    """The person's name, `user.effective`, `aws.session` and the first address, of many records of one session."""
    person = (acted.person if acted else None) or own
    effective: dict[str, Any] = {"name": person}
    if acted is not None and acted.person_id:
        effective["id"] = acted.person_id
    if person and person.find("@") > 0:
        effective["email"] = person
    if acted is None:
        return person, orjson.Fragment(orjson.dumps(effective)), None, None
    session: dict[str, Any] = {"chain": acted.chain}
    if acted.source_identity:
        session["source_identity"] = acted.source_identity
    if acted.first_address:
        session["first_address"] = acted.first_address
    address = acted.first_address if acted.first_address and is_address(acted.first_address) else None
    return person, orjson.Fragment(orjson.dumps(effective)), orjson.Fragment(orjson.dumps(session)), address


def _learn(sessions: SessionLookup, event: CloudTrailRecord, time_ms: int) -> None:
    parts = (event.user_identity, event.request_parameters, event.response_elements)
    identity, asked, answered = map(object_of, parts)
    if made := session_of(identity, asked, answered, event.source_address, time_ms):
        sessions.learn(*made)


def _with(texts: list[str] | None, text: str) -> list[str]:
    """A list with one more, where it is not there yet; the list itself may be shared."""
    if not texts:
        return [text]
    return texts if text in texts else [*texts, text]
