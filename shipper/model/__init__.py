"""The values that move through the program: splits, records, documents, receipts."""

from __future__ import annotations

from shipper.model.documents import Document, Rejection, SendResult
from shipper.model.facts import (
    AccountFacts,
    Acted,
    AddressFacts,
    IamPrincipal,
    Indicator,
    Instance,
    InterfaceOwner,
    NetworkInterface,
    Resource,
    Session,
)
from shipper.model.identity import document_id, hash64
from shipper.model.receipts import (
    DeadLetter,
    Doubled,
    LedgerLine,
    LedgerTotal,
    Problem,
    Receipt,
    Retry,
    SettledSplit,
    Tally,
    Unread,
)
from shipper.model.records import (
    Events,
    LogEvent,
    LogStream,
    Origin,
    Payload,
    ReadLimits,
    Record,
    Rejected,
    event_position,
)
from shipper.model.splits import S3Object, S3Split, Split, WindowSplit

__all__ = [
    "AccountFacts",
    "Acted",
    "AddressFacts",
    "DeadLetter",
    "Document",
    "Doubled",
    "Events",
    "IamPrincipal",
    "Indicator",
    "Instance",
    "InterfaceOwner",
    "LedgerLine",
    "LedgerTotal",
    "LogEvent",
    "LogStream",
    "NetworkInterface",
    "Origin",
    "Payload",
    "Problem",
    "ReadLimits",
    "Receipt",
    "Record",
    "Rejected",
    "Rejection",
    "Resource",
    "Retry",
    "S3Object",
    "S3Split",
    "SendResult",
    "Session",
    "SettledSplit",
    "Split",
    "Tally",
    "Unread",
    "WindowSplit",
    "document_id",
    "event_position",
    "hash64",
]
