"""CloudTrail records as ECS documents, as Elastic's AWS integration lays them out (`logs-aws.cloudtrail-*`).

What may be equal in many records (who called, from where, with which program) is mapped and written as JSON once.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from shipper.errors import BadInputError
from shipper.model import Document, Origin, Record
from shipper.ports import (
    AddressLookup,
    Encoder,
    GeoLookup,
    IndicatorLookup,
    InterfaceLookup,
    PrincipalLookup,
    ResourceLookup,
    SessionLookup,
)
from shipper.schemas.cloudtrail_aggregate import Aggregate, aggregate_of
from shipper.schemas.cloudtrail_record import (
    CloudTrailRecord,
    decoded,
    identity_of,
    label_time,
    refuse_others,
    time_of,
)
from shipper.schemas.ecs.addresses import is_address
from shipper.schemas.ecs.cloudtrail_aggregated import add_aggregate, name_as_usual
from shipper.schemas.ecs.cloudtrail_bucket import BucketMembers, add_bucket
from shipper.schemas.ecs.cloudtrail_details import add_details
from shipper.schemas.ecs.cloudtrail_digest import digest_fields
from shipper.schemas.ecs.cloudtrail_event import add_event, cut_texts
from shipper.schemas.ecs.cloudtrail_identity import identity
from shipper.schemas.ecs.cloudtrail_lessons import Lessons
from shipper.schemas.ecs.cloudtrail_native import native_encoder
from shipper.schemas.ecs.cloudtrail_parts import Parts
from shipper.schemas.ecs.cloudtrail_person import add_person
from shipper.schemas.ecs.cloudtrail_principal import principal_fields
from shipper.schemas.ecs.places import Places
from shipper.schemas.ecs.threats import Threats
from shipper.schemas.ecs.user_agent import user_agent
from shipper.schemas.resources import S3

if TYPE_CHECKING:
    from shipper_native import CloudTrailEncoder

DATASET = "aws.cloudtrail"
ECS_VERSION = "8.11.0"

_LARGE = 24_000
_LONGEST_CACHED = 1_024
_MOST_AGENTS = 8_192
_MOST_ADDRESSES = 65_536
_S3 = S3.encode() + b'"'
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
        indicators: None to leave out threats.
        geo_seconds: how long what was found for an address is kept; a renewed database shows after that.
        names_seconds: names that become known show at most so often.
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
        indicators: IndicatorLookup | None = None,
        geo_seconds: float = 600.0,
        names_seconds: float = 5.0,
        native: bool = True,
    ) -> None:
        self._addresses = addresses
        self._places_of = places
        self._resources = resources
        self._bucket_members = BucketMembers(resources) if resources is not None else None
        self._principals = principals
        self._sessions = sessions
        self._index = f"logs-{DATASET}-{namespace}"
        self._stream = {"type": "logs", "dataset": DATASET, "namespace": namespace}
        self._geo = geo
        self._geo_seconds = geo_seconds
        self._names_seconds = names_seconds
        self._opened = self._named = time.monotonic()
        self._places = lru_cache(_MOST_ADDRESSES)(self._place)
        self._lessons = Lessons(principals, sessions, interfaces)
        self._threats = Threats(indicators) if indicators is not None else None
        self._version = places.version if places is not None else 0
        self._may_be_native = native
        self._native = self._native_encoder()

    def encoder(self, origin: Origin) -> Encoder:
        """Return the mapping for one object's records; see `ports.Schema`."""
        now = time.monotonic()
        if now - self._opened > self._geo_seconds:
            self._opened = now
            self._places.cache_clear()
            if self._native is not None:
                self._native.forget_places()
                self._native.forget_calls()
        self._look_at_names(now)
        if self._threats is not None and self._threats.look():
            self._native = self._native_encoder()  # the old one remembers what was no threat then
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
            if not event.event_time:
                refuse_others(raw)
            if event.digest_object and not event.event_time:
                time_ms, fields = digest_fields(raw)
            else:
                aggregate = aggregate_of(raw) if not event.event_time else None
                time_ms, fields = document(event, label, aggregate)
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

        bucket = self._bucket_members

        def encode_natively(record: Record) -> Document:
            beside = s3_json
            if bucket is not None and _S3 in record.raw:
                found = bucket.find(record.raw)
                if found is None or (found and not s3_json):
                    return encode(record)
                beside += found  # written beside `aws.s3`
            made = written(record.raw, head, beside)
            if made is None:
                return encode(record)
            time_ms, key, body = made
            return Document(key, index, time_ms, body, record, origin)

        return encode_natively

    def _native_encoder(self) -> CloudTrailEncoder | None:
        if not self._may_be_native:
            return None
        return native_encoder(
            self._place, self._principals, self._sessions, self._lessons, self._threats, names=self._places_of
        )

    def _look_at_names(self, now: float) -> None:
        """Let names that became known show in what the native encoder keeps."""
        if self._native is None or self._places_of is None or now - self._named < self._names_seconds:
            return
        version = self._places_of.version
        if version != self._version:
            self._version, self._named = version, now
            self._native.forget_calls()

    def _document(
        self, event: CloudTrailRecord, label: str | None, aggregate: Aggregate | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Map one record, without its original text and its place.

        Args:
            label: the time of records that have none.
            aggregate: what an aggregated event has in place of the usual fields, which are set here.

        Returns:
            the event's time in milliseconds since the epoch, and ECS fields, parts of which are shared.

        Raises:
            BadInputError: the record has no time, or a part of it is no JSON.
        """
        window = None
        if aggregate is not None:
            name_as_usual(event, aggregate)
            window = aggregate.time
        time_ms, stamp = window or time_of(event.event_time, event.logged_at, label)
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
        if aggregate is not None:
            add_aggregate(fields, trail, aggregate)
        if self._places_of is not None:
            self._places_of.add(fields)
        if self._resources is not None and event.event_source == S3:
            add_bucket(self._resources, fields, event, parts)
        self._lessons.learn(event, time_ms)
        if self._principals is not None and who.principal is not None and (found := self._principals(who.principal)):
            fields["aws"]["iam"] = principal_fields(who.principal, found)
        if self._sessions is not None:
            add_person(self._sessions, fields, who)
        if self._threats is not None:
            self._threats.add(fields, event.source_address, agent)
        return time_ms, fields

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
