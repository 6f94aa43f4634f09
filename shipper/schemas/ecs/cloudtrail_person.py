"""Who really acted: the person, the chain of roles and the first address behind a session's records."""

from __future__ import annotations

from typing import Any

import orjson
from msgspec import Struct

from shipper.model import Acted
from shipper.ports import SessionLookup
from shipper.schemas.ecs.addresses import is_address
from shipper.schemas.ecs.cloudtrail_identity import Identity

_MOST_PERSONS = 8_192


class Person(Struct, gc=False, frozen=True):
    """What many records of one session have in common, written once.

    Attributes:
        acted, who: what it was written of.
        name: the person's; None where it is not known who that is.
        effective: `user.effective`.
        user: `user`, with the person in it, of records that add nothing else to it.
        session: `aws.session`.
        address: the first caller's, where it is an IP address.
    """

    acted: Acted | None
    who: Identity
    name: str | None
    effective: orjson.Fragment
    user: orjson.Fragment
    session: orjson.Fragment | None
    address: str | None


_persons: dict[int, Person] = {}


def add_person(sessions: SessionLookup, fields: dict[str, Any], who: Identity) -> None:
    """Add `user.effective` and `aws.session` to a document."""
    person = person_of(sessions, who)
    if person is None:
        return
    related = fields["related"]
    if person.session is not None:
        fields["aws"]["session"] = person.session
    if person.address is not None:
        related["ip"] = _with(related.get("ip"), person.address)
    if person.name is not None:
        user = fields.get("user")
        fields["user"] = {**user, "effective": person.effective} if isinstance(user, dict) else person.user
        related["user"] = _with(related.get("user"), person.name)


def person_of(sessions: SessionLookup, who: Identity) -> Person | None:
    """What is known now of the person behind an identity."""
    acted = sessions(who.access_key) if who.access_key else None
    if acted is None and who.person is None:
        return None
    person = _persons.get(id(who))
    if person is None or person.acted is not acted or person.who is not who:
        person = _remembered(acted, who)
    return person


def _remembered(acted: Acted | None, who: Identity) -> Person:
    """Write what many records share; it holds the identity, so that no other can get the same id meanwhile."""
    if len(_persons) >= _MOST_PERSONS:
        _persons.clear()
    person = _persons[id(who)] = _written(acted, who)
    return person


def _written(acted: Acted | None, who: Identity) -> Person:
    name = (acted.person if acted else None) or who.person
    effective: dict[str, Any] = {"name": name}
    if acted is not None and acted.person_id:
        effective["id"] = acted.person_id
    if name and name.find("@") > 0:
        effective["email"] = name
    session: dict[str, Any] = {"chain": acted.chain} if acted and acted.chain else {}
    first = acted.first_address if acted else None
    if acted is not None and acted.source_identity:
        session["source_identity"] = acted.source_identity
    if first:
        session["first_address"] = first
    return Person(
        acted=acted,
        who=who,
        name=name,
        effective=orjson.Fragment(orjson.dumps(effective)),
        user=orjson.Fragment(orjson.dumps({**who.user, "effective": effective})),
        session=orjson.Fragment(orjson.dumps(session)) if session else None,
        address=first if first and is_address(first) else None,
    )


def _with(texts: list[str] | None, text: str) -> list[str]:
    """A list with one more, where it is not there yet; the list itself may be shared."""
    if not texts:
        return [text]
    return texts if text in texts else [*texts, text]
