"""What goes to a sink, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from shipper.model.records import Origin, Record


class Document(msgspec.Struct, frozen=True, gc=False):
    """One record, ready for one kind of sink.

    Attributes:
        id: a function of the input alone, the same however often the record is read (`document_id`).
        index: the data stream (`logs-aws.cloudtrail-default`) for ECS, the Splunk index ("" for the default) for HEC.
        time_ms: the event's own time, milliseconds since the epoch.
        body: one line of JSON without a line end: the ECS document, or the complete HEC envelope.
        record, origin: where it came from, for dead letters.
        unparsed: the record has none of its log type's forms, and is shipped as it is, with a tag.
    """

    id: str
    index: str
    time_ms: int
    body: bytes
    record: Record
    origin: Origin
    unparsed: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """A document that a server refused for good.

    Attributes:
        position: index in the batch that was sent. Position, never the id, says which document an answer is for.
        reason: the error's type, as the server names it.
        answer: the server's own words.
        stored: the server keeps the document aside (a failure store): sending it again would keep it there twice.
        hint: what to do about it, where the answer shows a fault of the server's set-up; else "".
    """

    position: int
    reason: str
    answer: str
    stored: bool = False
    hint: str = ""


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
        faults: those among `retry` that the server refused for a fault of its set-up, whatever the document is. A
            person mends it, and they are stored; where nothing may wait for a person they are refused for good.
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
    faults: tuple[Rejection, ...] = ()
