"""What secrets and personal data look like, wherever they stand: keys, tokens, card numbers, e-mail."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from shipper.redaction.text_secrets import pem_spans

Range = tuple[int, int]
Finder = Callable[[bytes], Iterator[Range]]

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
_ACCESS_KEY = re.compile(rb"A[KS]IA[A-Z0-9]{16}(?![A-Z0-9])")
_TOKENS = tuple(
    re.compile(pattern)
    for pattern in (
        rb"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",  # JSON Web Token, RFC 7519
        rb"gh[pousr]_[A-Za-z0-9]{36,}",  # GitHub
        rb"xox[abeoprs]-[A-Za-z0-9-]{10,}",  # Slack
        rb"IQoJ[A-Za-z0-9+/=]{96,}",  # AWS session tokens
        rb"FwoG[A-Za-z0-9+/=]{96,}",
    )
)
# 13 to 19 digits (ISO/IEC 7812) of the large networks, in groups or not.
_CARD = re.compile(rb"[2-6](?<![0-9A-Za-z.-].)[0-9](?:[ -]?[0-9]){11,17}(?![0-9A-Za-z-])(?!\.[0-9])")
_DOMAIN = re.compile(rb"@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")
_LOCAL = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.!#$%'*+^_`{|}~-")
"""What may stand before `@` (RFC 5321), but for what ends a part of an ARN, a path or a query: `/`, `=`, `?`, `&`."""
_UPPER_OR_DIGIT = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


def access_keys(raw: bytes) -> Iterator[Range]:
    """AWS access key ids, long-lived and temporary."""
    for found in _ACCESS_KEY.finditer(raw):
        if not found.start() or raw[found.start() - 1] not in _UPPER_OR_DIGIT:
            yield found.span()


def tokens(raw: bytes) -> Iterator[Range]:
    """Bearer tokens with a form of their own, and private keys."""
    for pattern in _TOKENS:
        for found in pattern.finditer(raw):
            yield found.span()
    for span in pem_spans(raw.lower()):
        yield span.start, span.end


def card_numbers(raw: bytes) -> Iterator[Range]:
    """Payment card numbers whose check digit is right."""
    for found in _CARD.finditer(raw):
        if luhn(found[0]):
            yield found.span()


def e_mails(raw: bytes) -> Iterator[Range]:
    """E-mail addresses."""
    if b"@" not in raw:
        return
    for found in _DOMAIN.finditer(raw):
        start = found.start()
        while start and raw[start - 1] in _LOCAL:
            start -= 1
        if start < found.start():
            yield start, found.end()


def luhn(number: bytes) -> bool:
    """Whether a number's last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    digits = [digit - 48 for digit in number if 48 <= digit <= 57]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


PATTERNS: dict[str, Finder] = {
    "access_key": access_keys,
    "token": tokens,
    "card_number": card_numbers,
    "email": e_mails,
}
