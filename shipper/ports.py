"""The contracts between the parts: who calls, from how many threads, what may block, what is raised."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, overload

from shipper.errors import RetryableError, Stopped
from shipper.model import (
    AccountFacts,
    Acted,
    AddressFacts,
    DeadLetter,
    Document,
    Doubled,
    Events,
    IamPrincipal,
    Indicator,
    InterfaceOwner,
    LedgerLine,
    LedgerTotal,
    Origin,
    Payload,
    Problem,
    Receipt,
    Record,
    Rejected,
    Resource,
    Retry,
    S3Object,
    S3Split,
    SendResult,
    Session,
    SettledSplit,
    Split,
)

SchemaName = Literal["ecs", "splunk"]

FATAL_ATTEMPTS = 3
"""After so many attempts that the process did not survive, a group of objects is taken apart."""
GIVE_UP_ATTEMPTS = 20
"""After so many an object alone is given up: fewer may be chance, where something else keeps ending the process."""


class Stop:
    """The way every wait hears that the process shall end.

    Two steps: `request()` ends the reading of new splits, `expire()` (the grace time is over) ends every wait.
    Safe to use from any thread.
    """

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._expired = threading.Event()

    def request(self) -> None:
        """Take no new work; what is on its way may finish."""
        self._requested.set()

    def expire(self) -> None:
        """End now: every wait raises Stopped."""
        self._requested.set()
        self._expired.set()

    @property
    def requested(self) -> bool:
        """Whether new work should be refused."""
        return self._requested.is_set()

    @property
    def expired(self) -> bool:
        """Whether work on its way should be given up."""
        return self._expired.is_set()

    def rest(self, seconds: float) -> bool:
        """Wait between two looks for new work; return true at once when a stop is requested."""
        return self._requested.wait(max(seconds, 0.0))

    def wait(self, seconds: float) -> None:
        """Wait within work on its way, such as before a retry.

        Raises:
            Stopped: when the grace time is over.
        """
        if self._expired.wait(max(seconds, 0.0)):
            msg = "the grace time is over"
            raise Stopped(msg)


class Source(Protocol):
    """Finds splits and remembers which are settled. All methods are called from the source's own thread."""

    name: str

    def splits(self) -> Iterator[Split]:
        """Yield all that is due now, oldest first, each pinned in the checkpoint store before it is yielded.

        Pinned means: after a crash the same split, of the same objects, is yielded first. May block on the network.
        A split in flight is not yielded twice.

        Raises:
            RetryableError: the listing failed; what was yielded so far stands.
        """
        ...

    def settle(self, split: Split, receipt: Receipt) -> None:
        """Commit: the split is done, its receipt is kept. Objects in `receipt.unread` are scheduled for a retry."""
        ...

    def release(self, split: Split, error: RetryableError) -> None:
        """The split was not delivered: it stays pinned, and `splits` yields it again after a wait."""
        ...

    def idle_seconds(self) -> float:
        """How long until the next look is worth it; at most 60."""
        ...

    def complete(self) -> bool:
        """Whether all that was found up to now is settled, with no retry outstanding (`--once` asks)."""
        ...

    def problems(self) -> Iterable[Problem]:
        """Try credentials and permissions with harmless calls (`shipper check`). May block; raises nothing."""
        ...

    def close(self) -> None:
        """Once, after the last settling: give back what was taken and is not settled (a queue's messages).

        Called from the source's own thread, also where `splits` was never called. May block; raises nothing.
        """
        ...


class Reader(Protocol):
    """Opens a split's data on a worker. Holds no state that must survive; called from many threads."""

    def open(self, split: Split) -> Iterator[Payload | Events | tuple[S3Object, Exception]]:
        """Yield the split's payloads in order; each must be read to its end before the next is asked for.

        An object that cannot be opened is yielded as (object, UnreadableError). May fetch ahead. Events need no
        format: each is a record already.

        Raises:
            RetryableError: the connection failed; the whole split is tried again later.
        """
        ...


class Format(Protocol):
    """Takes a payload apart. Stateless; called from many threads."""

    def records(self, payload: Payload) -> Iterator[Record | Rejected]:
        """Yield the payload's records in order, streaming: memory is bounded whatever the payload's size.

        Raises:
            BadInputError: the rest of the payload is unreadable (truncated, not the format, over a limit); what was
                yielded before stands.
            RetryableError: from the payload's own chunks.
        """
        ...


Encoder = Callable[[Record], Document | None]


class Schema(Protocol):
    """Turns records of one log type into documents for one kind of sink. Called from many threads."""

    def encoder(self, origin: Origin) -> Encoder:
        """Return a function for the records of one payload: Record → Document, or None where it is filtered out.

        The function raises BadInputError for a record that cannot be a document.
        """
        ...


class Redact(Protocol):
    """Takes out of records what nobody shall see. Called from many threads; never blocks, never raises."""

    @overload
    def __call__(self, record: Record) -> Record: ...
    @overload
    def __call__(self, record: Rejected) -> Rejected: ...
    def __call__(self, record: Record | Rejected) -> Record | Rejected:
        """Return the record without it; the same object where there is nothing to take out."""
        ...


class GeoLookup(Protocol):
    """Geography and network owner of an address."""

    def __call__(self, address: str) -> Mapping[str, Any] | None:
        """Return ECS's `{"geo": {…}, "as": {…}}` (either may be absent), shared: never change it.

        None where nothing is known, or where `address` is no IP address. Never blocks, never raises.
        """
        ...


class AddressLookup(Protocol):
    """Whose an address is, by lists of networks. Called from many threads; never blocks, never raises."""

    def __call__(self, address: str) -> AddressFacts | None:
        """Return what is known of an address or of a service's name; None where it is neither."""
        ...


class AccountLookup(Protocol):
    """What accounts are called, and where they stand. Called from many threads; never blocks or raises."""

    @property
    def version(self) -> int:
        """Another number after each change: what was written of earlier answers may be others now."""
        ...

    def __call__(self, account: str) -> AccountFacts | None:
        """Return what is known of an account id now, the same object until it changes; None where nothing is."""
        ...


class ResourceLookup(Protocol):
    """The tags of resources. Called from many threads; never blocks on the network, never raises."""

    def __call__(self, resource: Resource) -> Mapping[str, str] | None:
        """Return the tags known now, the same object until they change; None where none are: they are looked up."""
        ...


class PrincipalLookup(Protocol):
    """What IAM says of roles and users. Called from many threads; never blocks on the network, never raises."""

    def __call__(self, arn: str) -> IamPrincipal | None:
        """Return what is known now; None where nothing is yet: it is looked up in the background.

        Args:
            arn: of a role or user, without its path.
        """
        ...

    def learn(
        self,
        arn: str,
        change: Mapping[str, Any],
        kind: Literal["create", "tag", "untag", "describe", "delete"],
        at: float,
    ) -> None:
        """Note a change that CloudTrail tells of; the same again changes nothing.

        Args:
            arn: as above.
            change: `tags` set, `keys` of tags taken away; `path` and `description` of what was created, `description`
                of what was described anew.
            at: when it happened, seconds since the epoch.
        """
        ...


class SessionLookup(Protocol):
    """Who acts with temporary credentials. Called from many threads; never blocks, never raises."""

    def __call__(self, access_key: str) -> Acted | None:
        """Return who really acts, as far as records seen so far tell; None where they do not."""
        ...

    def learn(self, access_key: str, session: Session) -> None:
        """Remember how credentials came to be, in any order; the same again changes nothing."""
        ...

    def close(self) -> None:
        """Keep what is remembered for the next start. May block on the disk; called once, at the end."""
        ...


class InterfaceLookup(Protocol):
    """Whose network interfaces and addresses are. Called from many threads; never blocks, never raises."""

    @property
    def version(self) -> int:
        """Return another number after each change: earlier answers may be stale."""
        ...

    def want(self, account: str, region: str) -> None:
        """Say that records of an account and region are being shipped: its interfaces are listed in the background."""
        ...

    def interface(self, interface: str, at: float) -> InterfaceOwner:
        """Return an interface as it was at a time (seconds since the epoch), or last, where it is gone."""
        ...

    def address(self, address: str, network: str | None, at: float) -> InterfaceOwner:
        """Return the interface that had an address at a time.

        Args:
            network: the VPC that the address was seen in; None where that is not known.
        """
        ...

    def learn(self, event: str, account: str, region: str, parts: tuple[Mapping[str, Any], ...], at: float) -> None:
        """Note a change that CloudTrail tells of, in any order; the same again changes nothing.

        Args:
            event: the call's name.
            account, region: where it was made.
            parts: requestParameters and responseElements.
            at: when, seconds since the epoch.
        """
        ...

    def close(self) -> None:
        """Keep what is remembered for the next start. May block on the disk; called once, at the end."""


class IndicatorLookup(Protocol):
    """What lists of indicators say. Called from many threads; never blocks, never raises."""

    def look(self) -> int:
        """Return a number that is another one when answers may have changed; called once for each object."""
        ...

    def address(self, address: str) -> Indicator | None:
        """Return what names an IP address, or the smallest network that it lies in; None for any other text."""
        ...

    def domain(self, name: str) -> Indicator | None:
        """Return what names a domain, or else a parent of it."""
        ...

    def agent(self, agent: str) -> Indicator | None:
        """Return what names a user agent."""
        ...


@dataclass(frozen=True, slots=True)
class Lookups:
    """What schemas may ask while they map a record; None where it is not configured, and then it costs nothing."""

    geo: GeoLookup | None = None
    principals: PrincipalLookup | None = None
    sessions: SessionLookup | None = None
    addresses: AddressLookup | None = None
    interfaces: InterfaceLookup | None = None
    accounts: AccountLookup | None = None
    resources: ResourceLookup | None = None
    regions: Mapping[str, str] | None = None
    indicators: IndicatorLookup | None = None


class Delivery(Protocol):
    """One split on its way into one sink. Used by one thread."""

    def send(self, documents: Sequence[Document]) -> SendResult:
        """Send one batch, one attempt. `documents` keeps within the sink's limits. Blocks on the network.

        Raises:
            RetryableError: nothing is known of the batch (timeout, reset, unparsable answer, busy server, refused
                credentials): all of it is sent again under the same ids.
            FatalError: no later attempt can work.
        """
        ...

    def finish(self) -> None:
        """Return when everything that was sent is durable in the sink (fsync and rename, acknowledgements).

        Raises:
            RetryableError: it is not; the whole split is shipped again.
        """
        ...

    def abandon(self) -> None:
        """The split failed: drop what is not durable. Raises nothing."""
        ...


class Sink(Protocol):
    """A server or folder that documents go to. `open` is called from many threads."""

    name: str
    schema: SchemaName
    batch_bytes: int
    """Most bytes of document bodies in one batch, uncompressed; a single larger document is sent alone."""
    batch_documents: int

    def prepare(self) -> None:
        """Once, before the first split: install templates where allowed, clean up after a crash. May block.

        Raises:
            RetryableError: the server is not reachable yet.
            ConfigError: it cannot work as configured.
        """
        ...

    def open(self, split: Split) -> Delivery:
        """Begin a split's delivery; never blocks."""
        ...

    def problems(self) -> Iterable[Problem]:
        """Try the sink with harmless calls (`shipper check`). May block; raises nothing."""
        ...

    def close(self) -> None:
        """Give back connections. Called once, after all deliveries ended."""
        ...


class Recount(Protocol):
    """What a sink holds, counted by the sink itself (`shipper audit`). Used by one thread; blocks on the network.

    Attributes:
        by_id: whether `missing` can tell one document from another.
        doubles: whether what is sent again although it is there stands twice then.
    """

    by_id: bool
    doubles: bool

    def count(self, splits: Sequence[S3Split]) -> list[int | None]:
        """How many documents of each split's objects the sink holds; None where it cannot be counted so.

        Raises:
            RetryableError: the sink does not answer, or not for all of its data.
        """
        ...

    def count_events(self, region: str, group: str, first_ms: int, last_ms: int) -> int | None:
        """How many documents of a log group's events the sink holds of a span; None where it cannot be counted so.

        Args:
            first_ms, last_ms: the documents' own times, milliseconds since the epoch, both included.

        Raises:
            RetryableError: as for `count`.
        """
        ...

    def doubled(self, paths: Sequence[str]) -> Mapping[str, Doubled]:
        """Return what the sink holds more than once, by the address of the object it came from.

        Args:
            paths: addresses of objects. Those without doubles, or whose doubles cannot be told, are left out.

        Raises:
            RetryableError: as for `count`.
        """
        ...

    def doubled_events(self, region: str, group: str, first_ms: int, last_ms: int) -> Doubled:
        """Return what the sink holds more than once of a log group's events; the arguments are as `count_events` has.

        Raises:
            RetryableError: as for `count`.
        """
        ...

    def missing(self, documents: Sequence[Document]) -> list[int]:
        """Positions of the documents that the sink does not hold; all of them where it cannot tell.

        Raises:
            RetryableError: as for `count`.
        """
        ...

    def expired(self, index: str, time_ms: int, stored_at: float) -> bool:
        """Whether what held a document has been deleted since, as retention does.

        Args:
            index: of the document.
            time_ms: the event's own time.
            stored_at: when it was stored at the latest, seconds since the epoch.

        Raises:
            RetryableError: as for `count`.
        """
        ...


class CheckpointStore(Protocol):
    """What must survive a crash. One process at a time; every method is one transaction, durable when it returns.

    A *scope* is a part of a source with a cursor of its own (an account's folder of a bucket, a log group). A
    *bucket of time* is a whole number, such as days or minutes since the epoch: each source chooses its own. It holds
    the 64-bit hashes of what is done, and is closed when nothing more can come. Called from many threads; blocks on
    the disk only. Every method may raise FatalError: the disk is full or broken, and nothing may be settled any more.
    """

    def cursors(self, source: str) -> dict[str, dict[str, float]]:
        """Named numbers (times in seconds since the epoch) by scope; empty at first."""
        ...

    def set_cursors(self, source: str, cursors: Mapping[str, Mapping[str, float]]) -> None:
        """Store named numbers by scope; other names and scopes keep theirs."""
        ...

    def pin(self, splits: Sequence[Split]) -> None:
        """Remember splits before they are shipped, so that after a crash they are shipped again as they were."""
        ...

    def pinned(self, source: str) -> list[Split]:
        """Splits pinned and not settled, oldest first."""
        ...

    def unpin(self, splits: Sequence[Split]) -> None:
        """Forget pinned splits without a receipt: another process has their data."""
        ...

    def replace_pins(self, split: Split, parts: Sequence[Split]) -> None:
        """Pin the parts of a split in its place, with no attempt counted."""
        ...

    def begin_attempt(self, split: Split) -> int:
        """Count an attempt to ship a split, and return how many there are with it.

        The count survives the process at once, the machine perhaps not.
        """
        ...

    def end_attempt(self, split: Split) -> None:
        """Take an attempt back: it failed in an ordinary way. Settling and unpinning forget all of a split's."""
        ...

    def attempts(self, source: str) -> dict[str, int]:
        """Return by split id how often the process ended in the midst of shipping, those of 0 left out."""
        ...

    def done(self, source: str, scope: str, first: int, last: int) -> dict[int, array[int]]:
        """Hashes (type code "q") of what is settled, by bucket of time, for first <= bucket < last."""
        ...

    def mark_done(self, source: str, scope: str, done: Sequence[tuple[int, int]]) -> None:
        """Add (bucket of time, hash) pairs of what is left out for what it is, without a split or a receipt."""
        ...

    def settle(self, split: Split, receipt: Receipt, done: Sequence[tuple[int, int]], retries: Sequence[Retry]) -> None:
        """One transaction: unpin the split, keep its receipt, add (bucket of time, hash) pairs, replace retry entries.

        Retry entries of objects in the split that are not in `retries` are removed.
        """
        ...

    def retries(self, source: str) -> list[Retry]:
        """Objects waiting for another attempt, the next due first."""
        ...

    def close_before(
        self, source: str, scope: str, bucket: int, cursor: Mapping[str, float], *, keep: int = 35
    ) -> None:
        """One transaction: drop the hashes of all earlier buckets of time, and set the scope's cursor.

        Args:
            bucket: the first bucket of time that stays open.
            cursor: named numbers to store, as `set_cursors` does.
            keep: for how many closed buckets the count and xor of the hashes is kept.
        """
        ...

    def closed(self, source: str, scope: str) -> dict[int, tuple[int, int]]:
        """Count and xor of the hashes of closed buckets of time, as far back as they are kept."""
        ...

    def receipts(self, source: str | None = None, since: float | None = None) -> Iterator[LedgerLine]:
        """The delivery ledger, oldest first: one line for each split and sink settled since a time."""
        ...

    def settled(self, source: str, since: float = 0.0) -> Iterator[SettledSplit]:
        """Groups of objects settled since a time, oldest first, for as long as their receipts are kept."""
        ...

    def totals(self, source: str | None = None) -> list[LedgerTotal]:
        """The ledger's sums by source and sink, since the store's beginning."""
        ...

    def reset(self, source: str, scope: str | None = None) -> int:
        """Forget cursors, pins, done-sets and retries of a source or of one scope; receipts stay.

        Returns:
            How many scopes were forgotten.
        """
        ...

    def close(self) -> None:
        """Release the store and its lock."""
        ...


class DeadLetters(Protocol):
    """Keeps what could not be shipped. Called from many threads."""

    def put(self, letters: Sequence[DeadLetter]) -> None:
        """Store durably before returning. The same letter again (source, sink, origin, position) replaces itself.

        Raises:
            RetryableError: the store is full or the disk fails: nothing may be settled until it works again.
        """
        ...

    def count(self) -> int:
        """How many letters are kept."""
        ...

    def close(self) -> None:
        """Release the store."""
        ...


Clock = Callable[[], float]
"""Seconds since the epoch."""

wall_clock: Clock = time.time
