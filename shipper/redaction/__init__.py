"""Takes secrets and personal data out of records before they go anywhere: to a schema, a sink or the dead letters."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import orjson

from shipper.model import Origin, Record, Rejected
from shipper.ports import Encoder, Redact, Schema
from shipper.redaction.json_text import Path, escape_length, in_string, members, value_end
from shipper.redaction.patterns import PATTERNS, Finder
from shipper.redaction.secrets import mask_secrets

Action = Literal["mask", "hash", "drop"]

_SECRETS = "secrets"
_HASH_DIGITS = 32
_MASK = b"[redacted]"
_COMMA_AFTER = re.compile(rb"\s*,\s*")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what is taken out, and what is left in its place.

    Attributes:
        field: a path such as `requestParameters.password`, where `*` stands for any one name; lists add nothing to it.
            In lines of fields (flow logs), a field's name.
        pattern: a name in `PATTERNS`. Exactly one of field and pattern is given.
        action: mask writes `[redacted]`, hash a keyed hash (equal values stay equal), drop nothing.
    """

    field: str | None = None
    pattern: str | None = None
    action: Action = "mask"

    @property
    def name(self) -> str:
        """What the rule is called in metrics."""
        return self.field or self.pattern or ""


class Redactor:
    """Takes out what rules name. Safe to use from many threads; never raises.

    Args:
        rules: applied in their order.
        secrets: also mask the secrets that CloudTrail leaves in parameters (`redaction.secrets`).
        hash_key: the key of hashes (HMAC-SHA-256), so that nobody can find a value by hashing all possible ones.
        count: told of each rule's name and how many values it took out of a record.
    """

    def __init__(
        self, rules: Sequence[Rule], *, secrets: bool, hash_key: bytes = b"", count: Callable[[str, int], None]
    ) -> None:
        self._secrets = secrets
        self._hash_key = hash_key
        self._count = count
        self._patterns = [(rule, PATTERNS[rule.pattern]) for rule in rules if rule.pattern]
        self._fields = [_Field(rule) for rule in rules if rule.field]
        self._spares_lines = not self._patterns and not self._fields
        self._plain = secrets and not rules

    @overload
    def __call__(self, record: Record) -> Record: ...
    @overload
    def __call__(self, record: Rejected) -> Rejected: ...
    def __call__(self, record: Record | Rejected) -> Record | Rejected:
        """See `ports.Redact`. What could not be taken apart is searched as far as its text can be understood."""
        if type(record) is Record:
            if type(record.layout) is tuple:
                if self._spares_lines:
                    return record
            elif self._plain:  # nearly always
                after, count = mask_secrets(record.raw)
                if not count:
                    return record
                self._count(_SECRETS, count)
                return Record(after, record.position, record.layout, record.event)
        before = record.raw
        if isinstance(record, Rejected):
            after = self.text(before)
            return record if after is before else Rejected(after, record.position, record.reason, record.time_ms)
        after = self.text(before, record.layout)
        return record if after is before else Record(after, record.position, record.layout, record.event)

    def text(self, raw: bytes, layout: Any = None) -> bytes:
        """The same for a record's own bytes.

        Args:
            layout: the field names of a line, None elsewhere.
        """
        if isinstance(layout, tuple):
            for field in self._fields:
                raw = self._counted(field.rule.name, *field.in_line(raw, layout, self._replacement))
        else:
            if self._secrets:
                masked, count = mask_secrets(raw)
                if count:
                    raw = masked
                    self._count(_SECRETS, count)
            for field in self._fields:
                if field.may_be_in(raw):
                    raw = self._counted(field.rule.name, *field.in_json(raw, self._replacement))
        for rule, find in self._patterns:
            raw = self._without(raw, rule, find, json=not isinstance(layout, tuple))
        return raw

    def _counted(self, name: str, raw: bytes, count: int) -> bytes:
        if count:
            self._count(name, count)
        return raw

    def _without(self, raw: bytes, rule: Rule, find: Finder, *, json: bool) -> bytes:
        spans = list(find(raw))
        for start, end in sorted(spans, reverse=True):
            first = start + (escape_length(raw, start) if json else 0)
            text = b"" if rule.action == "drop" else self._replacement(rule.action, raw[first:end])
            if json and rule.pattern == "card_number" and raw[:1] in {b"{", b"["} and not in_string(raw, first):
                text = b'"%b"' % text  # a bare number
            raw = raw[:first] + text + raw[end:]
        return self._counted(rule.name, raw, len(spans))

    def _replacement(self, action: Action, value: bytes) -> bytes:
        if action != "hash":
            return _MASK
        return b"hash:" + hmac.new(self._hash_key, value, hashlib.sha256).hexdigest()[:_HASH_DIGITS].encode()


class Redacted:
    """A schema for records out of which something is taken first, where nothing else is done with them."""

    def __init__(self, schema: Schema, redact: Redact) -> None:
        self._schema = schema
        self._redact = redact

    def encoder(self, origin: Origin) -> Encoder:
        """As the schema's own."""
        encode, redact = self._schema.encoder(origin), self._redact
        return lambda record: encode(redact(record))


class _Field:
    """A rule for one field."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._path: Path = tuple((rule.field or "").encode().split(b"."))
        last = self._path[-1]
        self.may_be_in = re.compile(b'"' if last == b"*" else re.escape(b'"%b"' % last)).search

    def in_json(self, raw: bytes, replacement: Callable[[Action, bytes], bytes]) -> tuple[bytes, int]:
        """The text without the field, and how many members that were."""
        spans: list[tuple[int, int, int]] = []
        for path, begins, start in members(raw):
            if self._is(path) and not (spans and start < spans[-1][2]):
                spans.append((begins, start, value_end(raw, start)))
        for begins, start, end in reversed(spans):
            if self.rule.action == "drop":
                raw = _without_member(raw, begins, end)
            else:
                raw = raw[:start] + b'"%b"' % replacement(self.rule.action, _plain(raw[start:end])) + raw[end:]
        return raw, len(spans)

    def in_line(
        self, raw: bytes, layout: tuple[str, ...], replacement: Callable[[Action, bytes], bytes]
    ) -> tuple[bytes, int]:
        """The same for a line of fields; `-` is what is masked or dropped, as flow logs write what is not there."""
        name = (self.rule.field or "").replace("_", "-")
        parts = raw.split(b" ")
        places = [at for at, other in enumerate(layout) if other.replace("_", "-") == name and at < len(parts)]
        places = [at for at in places if parts[at] != b"-"]
        for at in places:
            parts[at] = replacement("hash", parts[at]) if self.rule.action == "hash" else b"-"
        return (b" ".join(parts) if places else raw), len(places)

    def _is(self, path: Path) -> bool:
        wanted = self._path
        return len(path) == len(wanted) and all(one in (b"*", other) for one, other in zip(wanted, path, strict=True))


def _plain(value: bytes) -> bytes:
    """A JSON string's own text; other values as they are written."""
    try:
        text = orjson.loads(value)
    except ValueError:
        return value
    return text.encode("utf-8", "replace") if isinstance(text, str) else value


def _without_member(raw: bytes, begins: int, end: int) -> bytes:
    """JSON without one member, and without the comma that belongs to it."""
    after = _COMMA_AFTER.match(raw, end)
    if after:
        return raw[:begins] + raw[after.end() :]
    head = raw[:begins].rstrip()
    return head.removesuffix(b",") + raw[end:]
