"""TLS to AWS, in version 1.2 or newer: botocore's contexts take whatever the machine's OpenSSL allows."""

from __future__ import annotations

import ssl
from typing import Any

import botocore.httpsession

_of_botocore = botocore.httpsession.create_urllib3_context


def require_tls_1_2() -> None:
    """Have botocore's connections of this process refuse older versions; it has no setting for that."""
    botocore.httpsession.create_urllib3_context = _context


def _context(*arguments: Any, **options: Any) -> ssl.SSLContext:
    context: ssl.SSLContext = _of_botocore(*arguments, **options)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
