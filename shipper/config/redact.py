"""What is taken out of records: the keys of the `redact` section."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from shipper.config.part import Part, plain
from shipper.config.values import Secret, SecretFile

_FIELD = re.compile(r"[^.\s\"]+(\.[^.\s\"]+)*")
# Documents are told apart and put in order by these.
_NEEDED = frozenset({"eventID", "eventTime", "recipientAccountId", "digestEndTime", "@timestamp", "start", "end", "*"})
_NEEDED |= {"eventId", "timeWindow", "timeWindow.windowStart"}  # of CloudTrail's aggregated events


def _field_path(text: str) -> str:
    if not _FIELD.fullmatch(text):
        raise ValueError("must be a path of names such as requestParameters.password; * stands for one name")
    if text in _NEEDED:
        raise ValueError("cannot be taken out: documents are told apart by it")
    return text


FieldPath = Annotated[str, Field(max_length=512), AfterValidator(_field_path)]


class RedactRule(Part):
    """One rule: a field or a pattern, and what is done with it."""

    field: FieldPath | None = Field(None, description="A field's path; * stands for any one name.")
    pattern: Literal["access_key", "token", "card_number", "email"] | None = Field(
        None, description="What is looked for in all text."
    )
    action: Literal["mask", "hash", "drop"] = Field(
        "mask", description="mask writes [redacted], hash a keyed hash, drop nothing."
    )


class Redact(Part):
    """What is taken out of records, before any sink and before dead letters."""

    secrets: bool = Field(
        True, description="Mask secrets in records: passwords, keys, tokens, headers and parameters that authenticate."
    )
    hash_key: Secret | None = Field(None, description="Key of hashes; the same key gives the same hashes.")
    hash_key_file: SecretFile = Field(None, description="File that holds the key of hashes.")
    rules: list[RedactRule] = Field([], max_length=100, description="What else is taken out, in this order.")

    @property
    def key(self) -> bytes:
        """The key of hashes, from whichever key it came; empty where secrets were not read."""
        return (plain(self.hash_key or self.hash_key_file) or "").encode()
