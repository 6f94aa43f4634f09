"""The values that move through the program: splits, records, documents, receipts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from shipper.errors import UnreadableKind


@dataclass(frozen=True, slots=True)
class S3Object:
    """One object as a listing or a notification named it.

    Attributes:
        size: bytes as stored (compressed).
        last_modified: seconds since the epoch.
    """

    bucket: str
    key: str
    size: int
    etag: str
    last_modified: float
    version_id: str | None = None

    @property
    def uri(self) -> str:
        """`s3://bucket/key`, as the Splunk add-on writes its `source`."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def hash(self) -> int:
        """What done-sets remember of the object: 64 bits (signed, as SQLite has them) of bucket, key, etag and size."""
        return hash64(self.bucket, self.key, self.etag, str(self.size))


@dataclass(frozen=True, slots=True)
class S3Split:
    """A group of S3 objects that is shipped and settled as one.

    Attributes:
        id: depends on the objects alone, so that shipping again writes to the same places.
        source: the source's name in the configuration.
        scope: the part of the source whose cursor this split belongs to (bucket and key layout prefix).
        logs: the log type, a key of `build.LOG_TYPES`.
    """

    id: str
    source: str
    scope: str
    logs: str
    objects: tuple[S3Object, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes as stored, for the limit of what is in flight."""
        return sum(o.size for o in self.objects)

    @property
    def oldest(self) -> float:
        """When the oldest of the split's data became visible, in seconds since the epoch."""
        return min((o.last_modified for o in self.objects), default=0.0)


@dataclass(frozen=True, slots=True)
class WindowSplit:
    """A span of time of one log group, shipped and settled as one.

    Attributes:
        id: depends on the source, the group, the span and what is delivered of it already: shipping again writes to the
            same places; a later look at the same span, or another source with another filter, to others.
        source: the source's name in the configuration.
        scope: the group's ARN, whose cursor this split belongs to.
        logs: the log type, a key of `build.LOG_TYPES`.
        account, region, group: where the events are; `group` is the log group's name.
        first_ms, last_ms: event times, milliseconds since the epoch, both included.
        seen: `hash64` of (stream, event id) of events that are delivered already, 8 bytes each, big-endian, sorted.
        layout: field names of a flow log's lines, where the log type has them.
        size_bytes: what the window is expected to hold, for the limit of what is in flight.
        oldest: when the oldest of its data became visible, in seconds since the epoch: what is new in the window came
            after that, and an event whose own time is earlier came late.
    """

    id: str
    source: str
    scope: str
    logs: str
    account: str
    region: str
    group: str
    first_ms: int
    last_ms: int
    seen: bytes = b""
    layout: tuple[str, ...] | None = None
    size_bytes: int = 0
    oldest: float = 0.0

    @property
    def objects(self) -> tuple[S3Object, ...]:
        """A window holds no objects."""
        return ()


Split = S3Split | WindowSplit


class LogStream(msgspec.Struct, frozen=True):
    """A CloudWatch log stream, shared by its events."""

    account: str
    region: str
    group: str
    name: str


class LogEvent(msgspec.Struct, frozen=True, gc=False):
    """What CloudWatch Logs says of one event, apart from its message.

    Attributes:
        id: CloudWatch's eventId (56 digits); the same however the event is read.
        time_ms: its timestamp, milliseconds since the epoch.
        ingested_ms: when CloudWatch got it; None where the way it came does not say.
    """

    id: str
    time_ms: int
    stream: LogStream
    ingested_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a payload came from: goes into documents, HEC's `source` and dead letters.

    Attributes:
        uri: `s3://bucket/key`, or a path for a local file.
        account, region: from the key's layout, "" where it does not say.
    """

    uri: str
    bucket: str = ""
    key: str = ""
    account: str = ""
    region: str = ""


@dataclass(slots=True)
class Payload:
    """One object's bytes on their way in, as stored (maybe compressed).

    Attributes:
        chunks: the bytes in order, in pieces of any size. Iterating may block and may raise RetryableError.
        size: bytes as stored, None where unknown.
    """

    origin: Origin
    chunks: Iterator[bytes]
    size: int | None = None


@dataclass(slots=True)
class Events:
    """A window's events on their way in; each is a record already, so that no format is needed.

    Attributes:
        records: in any order. Iterating may block and may raise RetryableError.
        done: (bucket of time, hash) of each event yielded so far; the receipt carries them to the settling.
        bytes_in: bytes of messages yielded so far.
        reached_ms: where the reader ended, because the window holds more than one split may: events of this time and
            later are still to be read. None where the window was read to its end.
    """

    origin: Origin
    records: Iterator[Record | Rejected]
    done: list[tuple[int, int]] = field(default_factory=list)
    bytes_in: int = 0
    reached_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Bounds that untrusted input cannot exceed, in decompressed bytes.

    Attributes:
        object_bytes: a larger object is a dead letter.
        record_bytes: a larger record is a dead letter.
    """

    object_bytes: int = 536_870_912
    record_bytes: int = 1_048_576


class Record(msgspec.Struct, frozen=True, gc=False):
    """One log record as AWS wrote it.

    Attributes:
        raw: the record's own bytes, unchanged, without a line end.
        position: counts from 1: the place in a CloudTrail object, or the line of a line format.
        layout: what the format learned from the payload and every record shares (a flow log's field names).
        event: what CloudWatch Logs says of it, where it came that way (`raw` is the event's message); identity, stream
            and fallback time come from it.
    """

    raw: bytes
    position: int
    layout: Any = None
    event: LogEvent | None = None


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A record that a format could not take apart; its neighbours go on.

    Attributes:
        raw: the bytes as far as they are known (cut to a bound), for the dead letter.
        reason: what is wrong, in words.
    """

    raw: bytes
    position: int
    reason: str


class Document(msgspec.Struct, frozen=True, gc=False):
    """One record, ready for one kind of sink.

    Attributes:
        id: a function of the input alone, the same however often the record is read (`document_id`).
        index: the data stream (`logs-aws.cloudtrail-default`) for ECS, the Splunk index ("" for the default) for HEC.
        time_ms: the event's own time, milliseconds since the epoch.
        body: one line of JSON without a line end: the ECS document, or the complete HEC envelope.
        record, origin: where it came from, for dead letters.
    """

    id: str
    index: str
    time_ms: int
    body: bytes
    record: Record
    origin: Origin


@dataclass(frozen=True, slots=True)
class Rejection:
    """A document that a server refused for good.

    Attributes:
        position: index in the batch that was sent. Position, never the id, says which document an answer is for.
        reason: the error's type, as the server names it.
        answer: the server's own words.
        stored: the server keeps the document aside (a failure store): sending it again would keep it there twice.
    """

    position: int
    reason: str
    answer: str
    stored: bool = False


@dataclass(frozen=True, slots=True)
class SendResult:
    """What one attempt to send a batch achieved; every document of the batch is in exactly one of the parts.

    Attributes:
        delivered: how many were newly stored.
        present: how many were there already (409 for our own id).
        repaired: how many were stored after a part that the server refused was moved aside.
        rejected: those refused for good.
        retry: positions of those to be sent again, in order.
        retry_reason: why, in the server's words.
        retry_after: seconds that the server asked for.
        too_large: the request was refused for its size and nothing of it was stored: `retry` names all of it.
        paused: the retries need a person (see RetryableError.paused).
    """

    delivered: int
    present: int = 0
    rejected: tuple[Rejection, ...] = ()
    retry: tuple[int, ...] = ()
    retry_reason: str = ""
    retry_after: float | None = None
    too_large: bool = False
    paused: bool = False
    repaired: int = 0


@dataclass(slots=True)
class Tally:
    """How one sink's share of a split ended, in records. Mutable while the split is on its way."""

    delivered: int = 0
    present: int = 0
    filtered: int = 0
    dead_lettered: int = 0
    bytes_out: int = 0
    repaired: int = 0

    @property
    def accounted(self) -> int:
        """Records whose end is known; equals the records read, or the split is not done."""
        return self.delivered + self.present + self.filtered + self.dead_lettered + self.repaired


@dataclass(frozen=True, slots=True)
class Unread:
    """An object of a split that could not be opened; the source offers it again later."""

    object: S3Object
    kind: UnreadableKind
    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """An object that waits for another attempt.

    Attributes:
        attempts: how many have failed.
        next_at: seconds since the epoch.
    """

    object: S3Object
    scope: str
    logs: str
    kind: UnreadableKind
    reason: str
    attempts: int
    next_at: float


@dataclass(frozen=True, slots=True)
class Receipt:
    """The account of one shipped split, kept as the delivery ledger.

    Attributes:
        read: records found in the split, the undecodable ones included.
        bytes_in: bytes as stored.
        sinks: by sink name.
        newest_ms: time of the newest event, None where there was none.
        unread: objects left out; they are not settled.
        done: (bucket of time, hash) pairs that the reader found, to be settled with the split.
        reached_ms: as in Events.
        gaps: records that tell of a gap in AWS's own capture (a flow log's SKIPDATA).
    """

    split_id: str
    source: str
    read: int
    bytes_in: int
    sinks: Mapping[str, Tally]
    newest_ms: int | None = None
    unread: tuple[Unread, ...] = ()
    seconds: float = 0.0
    done: tuple[tuple[int, int], ...] = ()
    reached_ms: int | None = None
    gaps: int = 0

    @property
    def unaccounted(self) -> int:
        """Records without a known end, over all sinks: 0, or the split is not done."""
        return sum(abs(self.read - tally.accounted) for tally in self.sinks.values())


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """How one settled split ended in one sink, as the checkpoint store keeps it.

    Attributes:
        read, delivered, present, filtered, dead_lettered, repaired: records; read is the sum of the other five.
        bytes_in: as stored at the source.
        bytes_out: of documents, uncompressed.
        newest_ms: time of the newest event, None where there was none.
        settled_at: seconds since the epoch.
    """

    split_id: str
    source: str
    sink: str
    read: int
    delivered: int
    present: int
    filtered: int
    dead_lettered: int
    bytes_in: int
    bytes_out: int
    newest_ms: int | None
    settled_at: float
    repaired: int = 0


@dataclass(frozen=True, slots=True)
class SettledSplit:
    """A settled group of objects, and how it ended in each sink: what an audit counts against.

    Attributes:
        settled_at: seconds since the epoch; the newest time where it was settled more than once.
        lines: by sink, the newest of each.
    """

    split: S3Split
    settled_at: float
    lines: Mapping[str, LedgerLine]


@dataclass(frozen=True, slots=True)
class LedgerTotal:
    """The sum of all ledger lines of one source and sink, those no longer kept one by one included."""

    source: str
    sink: str
    splits: int
    read: int
    delivered: int
    present: int
    filtered: int
    dead_lettered: int
    bytes_in: int
    bytes_out: int
    newest_ms: int | None
    settled_at: float
    repaired: int = 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record, document or object that could not be shipped.

    Attributes:
        sink: the sink that refused it; "" where it never got as far (undecodable: dead for every sink).
        position: as in Record; None where the whole object is meant.
        reason: a short kind, such as `document_parsing_exception` or `not_json`.
        answer: the server's or the decoder's own words.
        payload: the record's own bytes; empty for a whole object, which can be fetched again by its origin.
        document: what the sink refused, to be sent again as it was; empty where there was none yet.
        index, time_ms: of that document.
        id: the store's number for the letter.
    """

    source: str
    sink: str
    split_id: str
    logs: str
    origin: Origin
    position: int | None
    reason: str
    answer: str
    payload: bytes = b""
    document_id: str = ""
    time: float = field(default=0.0)
    document: bytes = b""
    index: str = ""
    time_ms: int = 0
    id: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that `shipper check` found.

    Attributes:
        where: the part of the configuration, such as `sinks.siem`.
        what: what is wrong, with the server's own words.
        hint: what to do about it.
        serious: false for a remark that does not stop the daemon.
        note: true for what is only worth knowing; it is not counted.
    """

    where: str
    what: str
    hint: str
    serious: bool = True
    note: bool = False


@dataclass(frozen=True, slots=True)
class IamPrincipal:
    """What IAM says of a role or user, apart from its name. Shared: never change it."""

    path: str | None
    description: str | None
    tags: Mapping[str, str]


class Session(msgspec.Struct, frozen=True, gc=False):
    """How temporary credentials came to be.

    Attributes:
        at: when, in seconds since the epoch.
        role: ARN of what they act as.
        caller: ARN (or principal id) of who asked for them; None where the record does not say.
        caller_key: the access key that asked, which may be temporary too.
        person: the caller's name, where the caller is a person.
        source_identity: as the caller gave it.
        address: where the caller was.
    """

    at: float
    role: str | None = None
    caller: str | None = None
    caller_key: str | None = None
    person: str | None = None
    source_identity: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Acted:
    """Who really acts in a session. Shared between records, and compared by identity.

    Attributes:
        chain: ARNs from the first caller to the session's own role.
        person: name of the person at its beginning, None where it is a machine or not known.
        person_id: the person's ARN.
        first_address: where the first caller was.
    """

    chain: tuple[str, ...]
    person: str | None
    person_id: str | None
    source_identity: str | None
    first_address: str | None


@dataclass(frozen=True, slots=True, eq=False)
class AccountFacts:
    """What is known of an AWS account. Shared between records, and compared by identity: never change it.

    Attributes:
        organization: the organisation's id.
        unit: names of the organisational units that it is in, from the root down, with `/` between.
    """

    name: str | None
    organization: str | None
    unit: str | None
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that has tags.

    Attributes:
        kind: `bucket` or `log_group`.
        account: who owns it.
    """

    kind: Literal["bucket", "log_group"]
    account: str
    region: str
    name: str


@dataclass(frozen=True, slots=True)
class AddressFacts:
    """What an address, or a service's name in its place, says by itself. Shared: never change it.

    Attributes:
        cloud: ECS's `cloud` (provider, region, service) of whose it is; None where it is not AWS's.
        internal: it is within one's own networks.
    """

    cloud: Mapping[str, Any] | None
    internal: bool


class NetworkInterface(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A network interface as it was for a while. Shared: never change it.

    Attributes:
        since: from when, seconds since the epoch; 0 where that is not known.
        until: till when; None where it still is so.
        private: its IPv4 addresses in its VPC, the primary one first; an address means something else in another VPC.
        public: addresses that are its own everywhere: public IPv4, IPv6.
        groups: ids of its security groups.
        service: who uses it, such as `nat_gateway`, `load_balancer`, `lambda`, `rds`, `ec2`.
        resource: the service's own name for what it is used for: a load balancer's, a function's, a gateway's id.
        attachment: id of its attachment to the instance.
        ends_with_instance: it is deleted when the instance is.
    """

    id: str
    account: str
    region: str
    since: float = 0.0
    until: float | None = None
    vpc: str | None = None
    subnet: str | None = None
    private: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    service: str | None = None
    resource: str | None = None
    name: str | None = None
    tags: Mapping[str, str] = {}
    instance: str | None = None
    attachment: str | None = None
    ends_with_instance: bool = False


class Instance(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What an EC2 instance's tags say. Shared: never change it.

    Attributes:
        at: when that was known, seconds since the epoch.
        tags: the chosen ones.
    """

    id: str
    at: float
    name: str | None = None
    tags: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, eq=False)
class InterfaceOwner:
    """Whose an interface or address is at a time, and how long that answer holds.

    Attributes:
        interface: None where none is known.
        instance: None where it is none's, or no more than its id is known.
        since, until: seconds since the epoch, `until` not included.
    """

    interface: NetworkInterface | None
    instance: Instance | None
    since: float
    until: float


class Indicator(msgspec.Struct, frozen=True, gc=False):
    """Something that a list calls bad.

    Attributes:
        type: as ECS's threat.indicator.type: ipv4-addr, ipv6-addr, domain-name, or software for user agents.
        value: as the list has it: an address or network, a domain (which may be a parent of what was looked for), a
            user agent (`*` stands for anything).
        provider: who says so.
    """

    type: str
    value: str
    provider: str
    description: str | None = None
    id: str | None = None
    confidence: str | None = None
    reference: str | None = None


def hash64(*parts: str) -> int:
    """A 64-bit hash of some strings, signed as SQLite stores integers; parts cannot run into one another."""
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def document_id(time_ms: int, *parts: str) -> str:
    """A document's id: 24 characters, ordered by time so that Elasticsearch finds its segment fast.

    Args:
        time_ms: the event's own time, milliseconds since the epoch.
        parts: what makes the event itself, such as account and eventID.
    """
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=12).digest()
    stamp = min(max(time_ms, 0), 0xFFFFFFFFFFFF).to_bytes(6, "big")
    return base64.urlsafe_b64encode(stamp + digest).decode("ascii")
