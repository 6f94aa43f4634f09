"""Secrets that CloudTrail may leave in parameters and answers: masked wherever a record has them.

AWS hides most of them itself (`HIDDEN_DUE_TO_SECURITY_REASONS`), but by service and not always; session tokens of
AssumeRole and its relatives are written as they are:
https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html
"""

from __future__ import annotations

import re

from shipper.native import SecretNames
from shipper.redaction.json_text import members, value_end

MASK = b'"[redacted]"'
_INNER_MASK = rb"\"[redacted]\""

TOKENS = frozenset(
    {b"access", b"auth", b"authorization", b"id", b"oauth", b"refresh", b"session", b"x-amz-security-", b"security"}
)
"""What stands before `Token` in the names of secrets; `nextToken` and `clientToken` are none."""

BY_EVENT: dict[bytes, tuple[bytes, ...]] = {
    b"PutParameter": (b"requestParameters", b"value"),
    b"ImportSourceCredentials": (b"requestParameters", b"token"),
}
"""Where a secret's name is too common to be masked everywhere: by event, the path of the member."""

# What AWS, or somebody before us, wrote in the place of a secret; what holds nothing.
_HARMLESS = re.compile(
    rb'"(?:HIDDEN_DUE_TO_SECURITY_REASONS|<?sensitiveDataRemoved>?|\*+|\[redacted\])?"|null|true|false|\{\s*\}|\[\s*\]'
)
# Each begins with something rare, so that trying it costs half a microsecond. `\"password\":\"…\"` is JSON in a string.
_TOKEN = re.compile(rb'Token(\\?)"\s*:\s*')
_PASSWORD = re.compile(rb'Password(\\?)"\s*:\s*')
_WHOLE = re.compile(
    rb'"[ckpsCKPS](?:assword|assphrase|rivateKey|reSharedKey|ecretString|ecretBinary|ecretAccessKey|lientSecret|eyMaterial)'
    rb'(\\?)"\s*:\s*'
)
_INNER_VALUE = re.compile(rb'\\"(?:[^"\\]|\\\\\\"|\\\\\\\\|\\\\[^\\])*\\"')
_EVENT = re.compile(rb'"eventName"\s*:\s*"(' + b"|".join(BY_EVENT) + rb')"')
_MAYBE = re.compile(rb'"[ckpsCKPSI](?:assw|assp|riva|reSh|ecret[SBA]|lientS|eyMat|utPar|mportS)')

# Says quickly that a record has none of the names, as most have none.
_NAMES = SecretNames() if SecretNames is not None else None


def mask_secrets(raw: bytes) -> tuple[bytes, int]:
    """A record without its secrets, the same object where it has none, and how many there were."""
    if _NAMES is None:
        return mask_found(raw)
    kinds = _NAMES.kinds_in(raw)
    return mask_found(raw, kinds) if kinds else (raw, 0)


def mask_found(raw: bytes, kinds: int | None = None) -> tuple[bytes, int]:
    """The same, without a quick look first.

    Args:
        kinds: which names may be in it, where somebody looked: 1 for tokens, 2 for passwords, 4 for others, added up.
    """
    if kinds is None:
        token, password, maybe = bool(_TOKEN.search(raw)), bool(_PASSWORD.search(raw)), bool(_MAYBE.search(raw))
        if not (token or password or maybe):
            return raw, 0
    else:
        token, password, maybe = bool(kinds & 1), bool(kinds & 2), bool(kinds & 4)
    spans: list[tuple[int, int, bytes]] = []
    for found in _TOKEN.finditer(raw) if token else ():
        name = raw[raw.rfind(b'"', 0, found.start()) + 1 : found.start()]
        if name.lower() in TOKENS:
            _add(spans, raw, found)
    for found in _PASSWORD.finditer(raw) if password else ():
        _add(spans, raw, found)
    if maybe:
        for found in _WHOLE.finditer(raw):
            _add(spans, raw, found)
        _add_of_event(spans, raw)
    outermost: list[tuple[int, int, bytes]] = []
    for span in sorted(spans):
        if not outermost or span[0] >= outermost[-1][1]:
            outermost.append(span)
    for start, end, mask in reversed(outermost):
        raw = raw[:start] + mask + raw[end:]
    return raw, len(outermost)


def _add(spans: list[tuple[int, int, bytes]], raw: bytes, found: re.Match[bytes]) -> None:
    start = found.end()
    if found[1]:
        inner = _INNER_VALUE.match(raw, start)
        if inner and inner[0] not in {rb"\"\"", _INNER_MASK}:
            spans.append((start, inner.end(), _INNER_MASK))
        return
    end = value_end(raw, start)
    if not _HARMLESS.fullmatch(raw, start, end):
        spans.append((start, end, MASK))


def _add_of_event(spans: list[tuple[int, int, bytes]], raw: bytes) -> None:
    event = _EVENT.search(raw)
    wanted = BY_EVENT[event[1]] if event else None
    for path, _, start in members(raw) if wanted else ():
        end = value_end(raw, start)
        if path == wanted and not _HARMLESS.fullmatch(raw, start, end):
            spans.append((start, end, MASK))
