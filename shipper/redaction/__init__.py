"""Takes secrets and personal data out of records before they go anywhere: to a schema, a sink or the dead letters."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import orjson

from shipper.model import Origin, Record, Rejected
from shipper.ports import Encoder, Redact, Schema
from shipper.redaction.json_text import Path, Strings, escape_length, members, value_end
from shipper.redaction.patterns import PATTERNS, Finder
from shipper.redaction.secrets import mask_secrets
from shipper.redaction.splice import Span, Unescaped, outermost, replaced

Action = Literal["mask", "hash", "drop"]

_SECRETS = "secrets"
_HASH_DIGITS = 32
_MASK = b"[redacted]"
_COMMA_AFTER = re.compile(rb"\s*,\s*")
_COMMA_BEFORE = re.compile(rb",\s*\Z")
_MAX_SPACE = 1024


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
            if type(record.layout) is tuple and not _has_text(record.raw):
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
            after, reason = self.text(before), self.value(record.reason)
            if after is before and reason is record.reason:
                return record
            return Rejected(after, record.position, reason, record.time_ms)
        after = self.text(before, record.layout)
        return record if after is before else Record(after, record.position, record.layout, record.event)

    def text(self, raw: bytes, layout: Any = None) -> bytes:
        """The same for a record's own bytes.

        Args:
            layout: the field names of a line, None elsewhere.
        """
        if self._secrets and (not isinstance(layout, tuple) or _has_text(raw)):
            masked, count = mask_secrets(raw)
            if count:
                raw = masked
                self._count(_SECRETS, count)
        if isinstance(layout, tuple):
            for field in self._fields:
                raw = self._counted(field.rule.name, *field.in_line(raw, layout, self._replacement))
        else:
            for field in self._fields:
                if field.may_be_in(raw):
                    raw = self._counted(field.rule.name, *field.in_json(raw, self._replacement))
        for rule, find in self._patterns:
            raw = self._without(raw, rule, find, json=not isinstance(layout, tuple))
        return raw

    def value(self, text: str) -> str:
        """Return a text that does not come from a record (a tag, a name, a reason) without what must not be seen."""
        raw = text.encode("utf-8", "surrogatepass")
        after = self.text(raw)
        return text if after is raw else after.decode("utf-8", "surrogatepass")

    def named(self, name: str, value: str) -> str:
        """Return a value that enrichment adds under a name without what must not be seen."""
        raw = orjson.dumps({name: value})
        after = self.text(raw)
        return value if after is raw else str(next(iter(orjson.loads(after).values()), ""))

    def _counted(self, name: str, raw: bytes, count: int) -> bytes:
        if count:
            self._count(name, count)
        return raw

    def _without(self, raw: bytes, rule: Rule, find: Finder, *, json: bool) -> bytes:
        """Return the text without what a pattern matches; see `patterns`."""
        unescaped = Unescaped(raw) if json else None
        text = unescaped.text if unescaped else raw
        numbers = json and rule.pattern == "card_number" and raw[:1] in {b"{", b"["}
        strings = Strings(text) if numbers else None
        spans: list[Span] = []
        for start, end, _ in outermost(Span(start, end, b"") for start, end in find(text)):
            first = start + (escape_length(text, start) if json else 0)
            replacement = b"" if rule.action == "drop" else self._replacement(rule.action, text[first:end])
            if strings is not None and not strings.inside(first):
                replacement = b'"%b"' % replacement  # a bare number
            spans.append(Span(first, end, replacement))
        if not spans:
            return raw
        self._count(rule.name, len(spans))
        return replaced(raw, map(unescaped.in_raw, spans) if unescaped else spans)

    def _replacement(self, action: Action, value: bytes) -> bytes:
        if action != "hash":
            return _MASK
        return b"hash:" + hmac.new(self._hash_key, value, hashlib.sha256).hexdigest()[:_HASH_DIGITS].encode()


def _has_text(line: bytes) -> bool:
    """Return whether a line of fields has more in it than the numbers, names and addresses of a flow log."""
    return b'"' in line or b"=" in line or b": " in line or b"-----" in line


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
        self.may_be_in = re.compile(b'"' if last == b"*" else re.escape(b'"%b"' % last) + rb"|\\\\(?:u00|/)").search

    def in_json(self, raw: bytes, replacement: Callable[[Action, bytes], bytes]) -> tuple[bytes, int]:
        """Return the text without the field, and how many members that were."""
        unescaped = Unescaped(raw)
        text = unescaped.text
        spans: list[tuple[int, int, int]] = []
        for path, begins, start in members(text, len(self._path)):
            if self._is(path) and not (spans and start < spans[-1][2]):
                spans.append((begins, start, value_end(text, start)))
        if not spans:
            return raw, 0
        if self.rule.action == "drop":
            masks = list(_without_members(text, [(begins, end) for begins, _, end in spans]))
        else:
            masks = [
                Span(start, end, b'"%b"' % replacement(self.rule.action, _plain(text[start:end])))
                for _, start, end in spans
            ]
        return replaced(raw, map(unescaped.in_raw, masks)), len(spans)

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


def _without_members(raw: bytes, spans: Sequence[tuple[int, int]]) -> Iterator[Span]:
    """Yield what to cut out of JSON: members, and the commas that belong to them.

    Args:
        spans: (where a member begins, where it ends), in order.
    """
    at = 0
    while at < len(spans):
        begins, end = spans[at]
        # Members in a row are cut out together, so that one comma is left between those around them.
        while (comma := _COMMA_AFTER.match(raw, end)) and at + 1 < len(spans) and spans[at + 1][0] == comma.end():
            at += 1
            end = spans[at][1]
        if comma:
            end = comma.end()
        elif before := _COMMA_BEFORE.search(raw, max(begins - _MAX_SPACE, 0), begins):
            begins = before.start()
        yield Span(begins, end, b"")
        at += 1
