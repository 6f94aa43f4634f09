"""CloudTrail records as every schema needs them: their fields, time and identity.

Fields: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
import orjson
from msgspec import Raw

from shipper.errors import BadInputError
from shipper.model import Origin, document_id
from shipper.schemas.flow_log_names import label_ms

_MOST_TIMES = 65_536
_LONGEST_TIME = 64


ABSENT = Raw()
"""A subtree that a record does not have: this object itself."""


class CloudTrailRecord(msgspec.Struct, gc=False, rename="camel"):
    """A record's own fields, of versions 1.0 to 1.11; subtrees stay undecoded bytes, empty where there are none."""

    event_version: str | None = None
    user_identity: Raw = ABSENT
    event_time: str | None = None
    event_source: str | None = None
    event_name: str | None = None
    aws_region: str | None = None
    source_address: str | None = msgspec.field(default=None, name="sourceIPAddress")
    user_agent: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    request_parameters: Raw = ABSENT
    response_elements: Raw = ABSENT
    additional_event_data: Raw = ABSENT
    request_id: str | None = msgspec.field(default=None, name="requestID")
    event_id: str | None = msgspec.field(default=None, name="eventID")
    read_only: bool | str | None = None
    resources: Raw = ABSENT
    event_type: str | None = None
    management_event: bool | str | None = None
    recipient_account_id: str | None = None
    service_event_details: Raw = ABSENT
    event_category: str | None = None
    tls_details: Raw = ABSENT
    session_credential_from_console: bool | str | None = None
    api_version: str | None = None
    shared_event_id: str | None = msgspec.field(default=None, name="sharedEventID")
    vpc_endpoint_id: str | None = None
    vpc_endpoint_account_id: str | None = None
    insight_details: Raw = ABSENT
    addendum: Raw = ABSENT
    edge_device_details: Raw = ABSENT
    digest_object: str | None = msgspec.field(default=None, name="digestS3Object")
    logged_at: str | None = msgspec.field(default=None, name="@timestamp")


_decoder = msgspec.json.Decoder(CloudTrailRecord)
_TEXTS = {field.encode_name: field.name for field in msgspec.structs.fields(CloudTrailRecord) if field.type is not Raw}
_SUBTREES = {field.encode_name: field.name for field in msgspec.structs.fields(CloudTrailRecord) if field.type is Raw}


def decoded(raw: bytes) -> CloudTrailRecord:
    """Take one record apart.

    Raises:
        BadInputError: the bytes are no JSON object, or not in UTF-8.
    """
    try:
        if not raw.isascii():
            raw.decode()  # parts that are taken as they are would hide what is no text
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _tolerantly(raw)


def time_of(*texts: str | None) -> tuple[int, str]:
    """The first time that is given, in milliseconds since the epoch, and as ECS writes it.

    Raises:
        BadInputError: none is given, or it is no time.
    """
    for text in texts:
        if text:
            return _time(text) if len(text) <= _LONGEST_TIME else _refused_time(text)
    raise BadInputError("the record has no eventTime, and its object's name gives no time (_20230710T1205Z_) either")


def _refused_time(text: str) -> tuple[int, str]:
    raise BadInputError(f"eventTime is no time: {text[:_LONGEST_TIME]!r}")


@lru_cache(_MOST_TIMES)
def _time(text: str) -> tuple[int, str]:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        time_ms = round(moment.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise BadInputError(f"eventTime is no time: {text!r}") from error
    return time_ms, f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


_MARKS = frozenset(
    {"eventversion", "eventid", "eventname", "eventsource", "digests3object", "timewindow", "@timestamp"}
)
"""What tells a record without `eventTime` from any other JSON object, in lower case: copies of records differ in it."""

_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode


def refuse_others(raw: bytes) -> None:
    """Refuse a JSON object that nothing tells for a record; only called where it has no `eventTime`.

    Raises:
        BadInputError: it is any other object, such as an empty one.
    """
    try:
        members = _decode_members(raw)
    except (msgspec.MsgspecError, RecursionError):
        return  # odd, and for its reader to judge
    if _MARKS.isdisjoint(name.lower() for name in members):
        raise BadInputError("JSON, but not a CloudTrail record: it has no time, name, id or version of an event")


def identity_of(time_ms: int, account: str | None, event_id: str | None, origin: Origin, position: int) -> str:
    """A record's document id: of its account and eventID, or where it has none of its place."""
    if event_id:
        return document_id(time_ms, account or "", event_id)
    return place_id(time_ms, origin, position)


def place_id(time_ms: int, origin: Origin, position: int) -> str:
    """Return the document id of a record whose own account and eventID are not believed: of its place."""
    return document_id(time_ms, origin.uri, str(position - 1))  # ids count from 0


def vouched_account(origin: Origin) -> str:
    """Return the account that an object's key vouches for; "" where it names none, and for log groups.

    A trail's log group may hold the records of all accounts of an organisation.
    """
    return origin.account if origin.key else ""


def claims_another(account: str | None, vouched: str) -> bool:
    """Return whether a record claims another account than its place vouches for."""
    return bool(vouched and account and account != vouched)


def loaded(raw: bytes) -> Any:
    """Decode any JSON that grammar allows: huge numbers, lone surrogates (replaced) and all.

    Raises:
        BadInputError: it is no JSON, or nested too deeply.
    """
    try:
        return _without_surrogates(json.loads(raw.decode("utf-8"), parse_constant=_refused))
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"not readable as JSON: {error}") from error


def loaded_alike(raw: bytes) -> Any:
    """Decode a part of a record, its numbers the same whether or not strict decoders refuse another part of it.

    Raises:
        BadInputError: it is no JSON, or nested too deeply.
    """
    try:
        return orjson.loads(raw)
    except ValueError:
        value = loaded(raw)
    try:
        return orjson.loads(json.dumps(value, ensure_ascii=False))
    except ValueError:
        return value


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return value
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return [_without_surrogates(item) for item in value] if isinstance(value, list) else value


def text_of(value: Any) -> str | None:
    """A value as text where a record should have text: numbers and flags as JSON writes them, the rest as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def label_time(origin: Origin) -> str | None:
    """The time in an object's name, `…_20230710T1205Z_….json.gz`, for records that have none of their own."""
    time_ms = label_ms(origin.key or origin.uri)
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat() if time_ms is not None else None


def _tolerantly(raw: bytes) -> CloudTrailRecord:
    """A record whose fields have unexpected types, or which strict decoders refuse."""
    fields = loaded(raw)
    if not isinstance(fields, dict):
        raise BadInputError("not a JSON object")
    record = CloudTrailRecord()
    for name, attribute in _SUBTREES.items():
        if (value := fields.get(name)) is not None:
            setattr(record, attribute, Raw(json.dumps(value, ensure_ascii=False).encode()))
    for name, attribute in _TEXTS.items():
        value = fields.get(name)
        setattr(record, attribute, value if isinstance(value, bool) and attribute in _FLAGS else text_of(value))
    return record


_FLAGS = frozenset({"read_only", "management_event", "session_credential_from_console"})
