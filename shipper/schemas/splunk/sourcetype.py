"""HEC envelopes under a sourcetype of the operator's choice."""

from __future__ import annotations

import re

import msgspec
import orjson

from shipper.model import Document, Origin, Record
from shipper.ports import Encoder, Schema

# The envelope's own comes before the event; within a text it could not stand so, its quotes would be escaped.
_SOURCETYPE = re.compile(rb'"sourcetype":"[^"\\]*"')


class WithSourcetype:
    """Implements `ports.Schema` over another one. Safe to use from many threads.

    Args:
        schema: its envelopes name a sourcetype before the event.
    """

    def __init__(self, schema: Schema, sourcetype: str) -> None:
        self._schema = schema
        self._member = b'"sourcetype":' + orjson.dumps(sourcetype)

    def encoder(self, origin: Origin) -> Encoder:
        """Return a function for the records of one payload."""
        encode = self._schema.encoder(origin)
        member = self._member

        def encode_so(record: Record) -> Document | None:
            document = encode(record)
            if document is None:
                return None
            return msgspec.structs.replace(document, body=_SOURCETYPE.sub(lambda _: member, document.body, count=1))

        return encode_so
