"""Which names in records stand for secrets: passwords, keys, tokens, headers and parameters that authenticate."""

from __future__ import annotations

import re
from functools import lru_cache

_SEPARATORS = re.compile(rb"[^a-z0-9]+")

TOKENS = (
    *(b"access", b"api", b"auth", b"authorization", b"bearer", b"bot", b"csrf", b"github", b"gitlab", b"id", b"jwt"),
    *(b"oauth", b"refresh", b"secret", b"security", b"session", b"slack", b"webidentity", b"xsrf"),
)
"""What stands before `token` in the names of secrets; `nextToken` and `clientToken` are none."""
_ENDINGS = (
    *(b"password", b"passwd", b"passphrase"),
    *(b"secretstring", b"secretbinary", b"secretvalue", b"secretaccesskey", b"secretkey"),
    *(b"privatekey", b"presharedkey", b"keymaterial"),
    *(b"xamzsignature", b"xamzcredential", b"xapikey"),
    *(name + b"token" for name in TOKENS),
)
_HEADERS = frozenset({b"authorization", b"proxyauthorization", b"cookie", b"cookies", b"setcookie", b"secret"})
"""Names that also stand for objects which describe something: only their texts, numbers and lists are secrets."""
_API_KEYS = frozenset({b"api_key", b"api-key", b"apikey"})
"""As they are written: CloudTrail's `apiKey` is the id of one."""
_PARAMETERS = frozenset({b"token", b"jwt", b"auth", b"sig", b"signature", b"credential", b"sessionid", b"jsessionid"})
"""Parameters of a URL that authenticate, beside the names above."""


@lru_cache(4096)
def is_secret(name: bytes) -> bool:
    """Return whether a member of this name holds a secret, whatever its value is.

    Args:
        name: in lower case; at most 128 bytes are given.
    """
    plain = _SEPARATORS.sub(b"", name)
    if plain.endswith(_ENDINGS):
        return True
    return (plain.endswith(b"secret") and plain != b"secret") or (plain.endswith(b"pwd") and plain != b"pwd")


@lru_cache(4096)
def is_secret_text(name: bytes) -> bool:
    """Return whether a text, a number or a list under this name is a secret; an object is not.

    Args:
        name: as it is written.
    """
    lowered = name.lower()
    return is_secret(lowered) or name in _API_KEYS or _SEPARATORS.sub(b"", lowered) in _HEADERS


@lru_cache(4096)
def is_secret_parameter(name: bytes) -> bool:
    """Return whether what stands behind `name=` in a URL or a line of text is a secret.

    Args:
        name: as it is written.
    """
    lowered = name.lower()
    plain = _SEPARATORS.sub(b"", lowered)
    return is_secret(lowered) or lowered in _API_KEYS or plain in _PARAMETERS or plain in {b"pwd", b"secret"}
