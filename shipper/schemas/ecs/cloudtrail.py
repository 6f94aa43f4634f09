"""CloudTrail records as ECS documents, as Elastic's AWS integration lays them out (`logs-aws.cloudtrail-*`).

What may be equal in many records (who called, from where, with which program) is mapped and written as JSON once.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import orjson

from shipper.errors import BadInputError
from shipper.model import Document, Origin, Record
from shipper.ports import (
    AddressLookup,
    Encoder,
    GeoLookup,
    InterfaceLookup,
    PrincipalLookup,
    ResourceLookup,
    SessionLookup,
)
from shipper.schemas import interface_changes
from shipper.schemas.cloudtrail_record import CloudTrailRecord, decoded, identity_of, label_time, time_of
from shipper.schemas.ecs.addresses import is_address
from shipper.schemas.ecs.cloudtrail_bucket import add_bucket
from shipper.schemas.ecs.cloudtrail_details import add_details
from shipper.schemas.ecs.cloudtrail_digest import digest_fields
from shipper.schemas.ecs.cloudtrail_event import add_event, cut_texts
from shipper.schemas.ecs.cloudtrail_identity import Identity, identity
from shipper.schemas.ecs.cloudtrail_native import native_encoder
from shipper.schemas.ecs.cloudtrail_parts import Parts
from shipper.schemas.ecs.cloudtrail_person import add_person
from shipper.schemas.ecs.cloudtrail_principal import principal_fields
from shipper.schemas.ecs.places import Places
from shipper.schemas.ecs.user_agent import user_agent
from shipper.schemas.iam_changes import CHANGES, IAM, learn
from shipper.schemas.resources import S3

DATASET = "aws.cloudtrail"
ECS_VERSION = "8.11.0"

_LARGE = 24_000
_LONGEST_CACHED = 1_024
_MOST_AGENTS = 8_192
_MOST_ADDRESSES = 65_536
_INTERFACE_CHANGES = interface_changes.CHANGES
_ABSENT = frozenset({None, "", "-", "none"})


class CloudTrailEcs:
    """Implements `ports.Schema`. Safe to use from many threads.

    Args:
        namespace: the data stream's last part.
        geo: None to leave out geography and network owner.
        principals: None to leave out what IAM says of the caller.
        sessions: None to leave out who is behind a role.
        addresses: None to leave out whose the source address is.
        interfaces: told of records that change network interfaces.
        places: None to leave out what is known of the caller's account and the region.
        resources: None to leave out the tags of the buckets of S3's records.
        geo_seconds: how long what was found for an address is kept; a renewed database shows after that.
        native: whether the usual records are written by the native encoder, where it is installed.
    """

    def __init__(
        self,
        namespace: str,
        geo: GeoLookup | None,
        principals: PrincipalLookup | None = None,
        sessions: SessionLookup | None = None,
        *,
        addresses: AddressLookup | None = None,
        interfaces: InterfaceLookup | None = None,
        places: Places | None = None,
        resources: ResourceLookup | None = None,
        geo_seconds: float = 600.0,
        native: bool = True,
    ) -> None:
        self._addresses = addresses
        self._places_of = places
        self._resources = resources
        self._principals = principals
        self._sessions = sessions
        self._interfaces = interfaces
        self._index = f"logs-{DATASET}-{namespace}"
        self._stream = {"type": "logs", "dataset": DATASET, "namespace": namespace}
        self._geo = geo
        self._geo_seconds = geo_seconds
        self._opened = time.monotonic()
        self._places = lru_cache(_MOST_ADDRESSES)(self._place)
        # What these add or learn depends on the time, and is not in the native encoder.
        asked = (principals, sessions, interfaces, places, resources)
        plain = all(lookup is None for lookup in asked)
        self._native = native_encoder(self._place) if native and plain else None

    def encoder(self, origin: Origin) -> Encoder:
        """Return the mapping for one object's records; see `ports.Schema`."""
        now = time.monotonic()
        if now - self._opened > self._geo_seconds:
            self._opened = now
            self._places.cache_clear()
            if self._native is not None:
                self._native.forget_places()
        shared = {"data_stream": self._stream, "ecs": {"version": ECS_VERSION}, "log": {"file": {"path": origin.uri}}}
        head = orjson.dumps(shared)[:-1]
        stored = {"bucket": {"name": origin.bucket}, "object": {"key": origin.key}} if origin.bucket else None
        s3_json = orjson.dumps(stored) if stored else b""
        s3 = orjson.Fragment(s3_json) if stored else None
        index, document, label = self._index, self._document, label_time(origin)

        def encode(record: Record) -> Document:
            raw = record.raw
            event = decoded(raw)
            if len(raw) > _LARGE:
                cut_texts(event)
            if event.digest_object and not event.event_time:
                time_ms, fields = digest_fields(raw)
            else:
                time_ms, fields = document(event, label)
            if s3 is not None:
                fields["aws"]["s3"] = s3
            try:
                fields["event"]["original"] = raw.decode()
                body = b"%b,%b" % (head, orjson.dumps(fields)[1:])
            except (TypeError, ValueError, RecursionError) as error:
                raise BadInputError(f"cannot be written as JSON: {error}") from error
            key = identity_of(time_ms, event.recipient_account_id, event.event_id, origin, record.position)
            return Document(key, index, time_ms, body, record, origin)

        if self._native is None:
            return encode
        written = self._native.encode

        def encode_natively(record: Record) -> Document:
            made = written(record.raw, head, s3_json)
            if made is None:
                return encode(record)
            time_ms, key, body = made
            return Document(key, index, time_ms, body, record, origin)

        return encode_natively

    def _document(self, event: CloudTrailRecord, label: str | None) -> tuple[int, dict[str, Any]]:
        """Map one record, without its original text and its place.

        Args:
            label: the time of records that have none.

        Returns:
            the event's time in milliseconds since the epoch, and ECS fields, parts of which are shared.

        Raises:
            BadInputError: the record has no time, or a part of it is no JSON.
        """
        time_ms, stamp = time_of(event.event_time, event.logged_at, label)
        who = identity(event.user_identity)
        trail: dict[str, Any] = {}
        related: dict[str, Any] = {}
        fields: dict[str, Any] = {"@timestamp": stamp, "aws": {"cloudtrail": trail}, "related": related}
        if who.fields is not None:
            trail["user_identity"] = who.fields
        cloud: orjson.Fragment | None = None
        if event.source_address is not None and event.source_address not in _ABSENT:
            fields["source"], address, cloud = self._places(event.source_address)
            if address:
                related["ip"] = address
        agent = event.user_agent
        if agent is not None and agent not in _ABSENT:
            fields["user_agent"] = _agents(agent) if len(agent) <= _LONGEST_CACHED else _agent(agent)
        parts = Parts(event)
        add_event(fields, trail, event, who, parts)
        if cloud is not None:
            fields["cloud"]["origin"] = cloud
        add_details(fields, trail, event, who, parts)
        if self._places_of is not None:
            self._places_of.add(fields)
        if self._resources is not None and event.event_source == S3:
            add_bucket(self._resources, fields, event, parts)
        if self._principals is not None:
            self._add_principal(self._principals, fields, event, who=who, parts=parts, time_ms=time_ms)
        if self._sessions is not None:
            add_person(self._sessions, fields, event, who, parts=parts, time_ms=time_ms)
        if self._interfaces is not None and event.event_name in _INTERFACE_CHANGES and not event.error_code:
            self._note_interface(self._interfaces, event, parts, time_ms)
        return time_ms, fields

    def _note_interface(self, interfaces: InterfaceLookup, event: CloudTrailRecord, parts: Parts, time_ms: int) -> None:
        if event.event_source != interface_changes.EC2 or not event.event_name:
            return
        interface_changes.learn(
            interfaces,
            event.event_name,
            place=(event.recipient_account_id, event.aws_region),
            asked=parts.request.tree if parts.request else {},
            answered=parts.response.tree if parts.response else {},
            at_ms=time_ms,
        )

    def _add_principal(
        self,
        principals: PrincipalLookup,
        fields: dict[str, Any],
        event: CloudTrailRecord,
        *,
        who: Identity,
        parts: Parts,
        time_ms: int,
    ) -> None:
        """Add what IAM says of the caller, and learn from records that change it."""
        if event.event_source == IAM and event.event_name in CHANGES and not event.error_code:
            asked = parts.request.tree if parts.request else {}
            account = event.recipient_account_id or who.account
            learn(principals, event.event_name, account=account, region=event.aws_region, asked=asked, at_ms=time_ms)
        if who.principal is not None and (found := principals(who.principal)) is not None:
            fields["aws"]["iam"] = principal_fields(who.principal, found)

    def _place(self, address: str) -> tuple[orjson.Fragment, list[str] | None, orjson.Fragment | None]:
        source: dict[str, Any] = {"address": address}
        found = is_address(address)
        if found:
            source["ip"] = address
            if self._geo is not None and (place := self._geo(address)):
                source.update(place)
        facts = self._addresses(address) if self._addresses is not None else None
        cloud = orjson.Fragment(orjson.dumps(facts.cloud)) if facts is not None and facts.cloud else None
        return orjson.Fragment(orjson.dumps(source)), [address] if found else None, cloud


def _agent(agent: str) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(user_agent(agent)))


_agents = lru_cache(_MOST_AGENTS)(_agent)
