"""CloudTrail records as HEC envelopes: the record unchanged, so that the Splunk Add-on for AWS parses it as its own.

Envelope: https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import lru_cache

import msgspec
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
    SessionLookup,
)
from shipper.schemas.cloudtrail_aggregate import aggregate_of
from shipper.schemas.cloudtrail_record import identity_of, label_time, loaded, refuse_others, text_of, time_of
from shipper.schemas.resources import S3
from shipper.schemas.splunk.cloudtrail_caller import Call, CallerFields, caller_of
from shipper.schemas.splunk.places import FlatPlaces
from shipper.schemas.splunk.threats import flat_threat
from shipper.schemas.splunk.vpc_flow import flat_cloud, flat_geography

SOURCETYPE = "aws:cloudtrail"

_MOST_ADDRESSES = 65_536
_MOST_AGENTS = 8_192
_LINE_ENDS = re.compile(rb"[\r\n]+")


class _Event(msgspec.Struct, gc=False):
    """What an envelope needs to know of a record."""

    event_time: str | None = msgspec.field(default=None, name="eventTime")
    event_id: str | None = msgspec.field(default=None, name="eventID")
    account: str | None = msgspec.field(default=None, name="recipientAccountId")
    address: str | None = msgspec.field(default=None, name="sourceIPAddress")
    logged_at: str | None = msgspec.field(default=None, name="@timestamp")
    digest_end: str | None = msgspec.field(default=None, name="digestEndTime")


class _EventAndCall(Call, gc=False):
    """The same where look-ups ask who called."""

    event_time: str | None = msgspec.field(default=None, name="eventTime")
    event_id: str | None = msgspec.field(default=None, name="eventID")
    logged_at: str | None = msgspec.field(default=None, name="@timestamp")
    digest_end: str | None = msgspec.field(default=None, name="digestEndTime")


_decode = msgspec.json.Decoder(_Event).decode
_decode_with_call = msgspec.json.Decoder(_EventAndCall).decode
_NAMES = {field.name: field.encode_name for field in msgspec.structs.fields(_Event)}


class CloudTrailSplunk:
    """Implements `ports.Schema`. Safe to use from many threads.

    Indexed fields: `event_uid` (the document's id), and of the source address `src_country`, `src_country_code`,
    `src_region`, `src_city`, `src_lat`, `src_lon`, `src_asn`, `src_as_org`, `src_isp`, `src_isp_organization`,
    `src_anonymity` (several values), `src_cloud_provider`, `src_cloud_service`, `src_cloud_region`, where they are
    known.

    Of the role or user that called: `iam_arn`, `iam_path`, `iam_description` and `iam_tag_KEY` for each tag.

    Of the person behind a role: `effective_user`, `effective_user_id`, `session_chain` (several values),
    `session_source_identity` and `session_first_address`.

    Of what is in a list of indicators: `src_threat_indicator`, `src_threat_type`, `src_threat_provider` and others, and
    the same of the user agent as `user_agent_threat_…`.

    Args:
        index: "" for the token's own.
        host: "" for none.
        geo: None to leave out geography and network owner.
        principals: None to leave out what IAM says of the caller.
        sessions: None to leave out who is behind a role.
        addresses: None to leave out whose the source address is.
        interfaces: told of records that change network interfaces.
        places: None to leave out what is known of the caller's account, the region, and the bucket of S3's records.
        indicators: None to leave out threats.
        geo_seconds: how long what was found for an address is kept.
    """

    def __init__(
        self,
        index: str,
        host: str,
        geo: GeoLookup | None,
        principals: PrincipalLookup | None = None,
        sessions: SessionLookup | None = None,
        *,
        addresses: AddressLookup | None = None,
        interfaces: InterfaceLookup | None = None,
        places: FlatPlaces | None = None,
        indicators: IndicatorLookup | None = None,
        geo_seconds: float = 600.0,
    ) -> None:
        asks = principals is not None or sessions is not None or interfaces is not None
        self._caller = CallerFields(principals, sessions, interfaces) if asks else None
        self._addresses = addresses
        self._more = places
        self._indicators = indicators
        self._version = indicators.look() if indicators is not None else 0
        self._index = index
        self._host = host
        self._geo = geo
        self._geo_seconds = geo_seconds
        self._opened = time.monotonic()
        self._places = lru_cache(_MOST_ADDRESSES)(self._place)
        self._agents = lru_cache(_MOST_AGENTS)(self._agent)

    def encoder(self, origin: Origin) -> Encoder:
        """Return the envelope writer for one object's records; see `ports.Schema`."""
        now = time.monotonic()
        if now - self._opened > self._geo_seconds:
            self._opened = now
            self._places.cache_clear()
        if self._indicators is not None and (version := self._indicators.look()) != self._version:
            self._version = version
            self._places.cache_clear()
            self._agents.cache_clear()
        index, place, label = self._index, self._places, label_time(origin)
        asks = self._caller is not None or self._more is not None or self._indicators is not None
        decode, called = (_decoded_with_call, self._called()) if asks else (_decoded, None)
        named = {"host": self._host, "source": origin.uri, "sourcetype": SOURCETYPE, "index": index}
        head = orjson.dumps({name: value for name, value in named.items() if value})[1:-1]

        def encode(record: Record) -> Document:
            raw = record.raw
            event = decode(raw)
            aggregate = None
            if not event.event_time:
                refuse_others(raw)
                aggregate = aggregate_of(raw)
            window = None
            if aggregate is not None:
                event.event_id, event.account = event.event_id or aggregate.event_id, event.account or aggregate.account
                window = aggregate.time
            time_ms, _ = window or time_of(event.event_time, event.logged_at, event.digest_end, label)
            key = identity_of(time_ms, event.account, event.event_id, origin, record.position)
            body = b'{"time":%d.%03d,%b,"event":%b,"fields":{"event_uid":"%b"%b%b}}' % (
                time_ms // 1000,
                time_ms % 1000,
                head,
                raw if b"\n" not in raw and b"\r" not in raw else _LINE_ENDS.sub(b" ", raw),  # between tokens only
                key.encode(),
                place(event.address) if event.address else b"",
                called(event, raw, time_ms) if called is not None and isinstance(event, Call) else b"",
            )
            return Document(key, index, time_ms, body, record, origin)

        return encode

    def _called(self) -> Callable[[Call, bytes, int], bytes]:
        """What look-ups add of who called, where and with what, as JSON members with a comma before each."""
        callers, places, agents = self._caller, self._more, self._agents if self._indicators is not None else None
        asks = callers is not None or places is not None

        def called(event: Call, raw: bytes, time_ms: int) -> bytes:
            more = b""
            if asks:
                caller = caller_of(event)
                if callers is not None:
                    more = callers(event, caller, time_ms)
                if places is not None:
                    more += places.find(caller.account or event.account or "", event.aws_region or "")
                    if event.event_source == S3:
                        more += places.of_bucket(raw)
            return more + agents(event.user_agent) if agents is not None else more

        return called

    def _place(self, address: str) -> bytes:
        """An address's indexed fields as JSON members, with a comma before each."""
        found = self._geo(address) if self._geo is not None else None
        fields = flat_geography(found, "src") if found else {}
        if self._addresses is not None and (facts := self._addresses(address)):
            fields.update(flat_cloud(facts, "src"))
        if self._indicators is not None:
            named = self._indicators.address(address) or self._indicators.domain(address)
            fields |= flat_threat(named, "src")
        return b"," + orjson.dumps(fields)[1:-1] if fields else b""

    def _agent(self, agent: str | None) -> bytes:
        """The same of a user agent."""
        found = self._indicators.agent(agent) if agent and self._indicators is not None else None
        return b"," + orjson.dumps(flat_threat(found, "user_agent"))[1:-1] if found else b""


def _decoded(raw: bytes) -> _Event:
    try:
        event = _decode(raw)
        if not raw.isascii():
            raw.decode()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _tolerantly(raw)
    return event


def _decoded_with_call(raw: bytes) -> _Event | _EventAndCall:
    """A record whose call has an unexpected form goes without what would be added."""
    try:
        event = _decode_with_call(raw)
        if not raw.isascii():
            raw.decode()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _decoded(raw)
    return event


def _tolerantly(raw: bytes) -> _Event:
    fields = loaded(raw)
    if not isinstance(fields, dict):
        raise BadInputError("not a JSON object")
    return _Event(**{name: text_of(fields.get(written)) for name, written in _NAMES.items()})
