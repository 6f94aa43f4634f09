"""Signs GetObject requests with AWS Signature Version 4, a tenth of what the general signer costs."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Protocol
from urllib.parse import quote

_NO_BODY = hashlib.sha256(b"").hexdigest()


class Credentials(Protocol):
    """What botocore's frozen credentials offer."""

    @property
    def access_key(self) -> str: ...  # noqa: D102
    @property
    def secret_key(self) -> str: ...  # noqa: D102
    @property
    def token(self) -> str | None: ...  # noqa: D102


class GetSigner:
    """Signs requests of one region (https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html).

    Safe to use from many threads: what is kept is the signing key of a day, replaced as a whole.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._kept: tuple[tuple[str, str], bytes] | None = None

    def headers(  # noqa: PLR0917 - what a signature covers
        self, host: str, path: str, query: str, extra: dict[str, str], credentials: Credentials, now: float
    ) -> dict[str, str]:
        """Return all headers of a GET request, the signature included.

        Args:
            path: as it is sent, encoded by `encoded_path`.
            query: as it is sent, encoded, its names in order.
            extra: further headers to be signed, by lower-case name.
            now: seconds since the epoch.
        """
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        headers = {"host": host, "x-amz-content-sha256": _NO_BODY, "x-amz-date": stamp, **extra}
        if credentials.token:
            headers["x-amz-security-token"] = credentials.token
        names = sorted(headers)
        signed = ";".join(names)
        lines = "".join(f"{name}:{headers[name]}\n" for name in names)
        request = f"GET\n{path}\n{query}\n{lines}\n{signed}\n{_NO_BODY}"
        scope = f"{stamp[:8]}/{self._region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._key(stamp[:8], credentials.secret_key), text.encode(), "sha256").hex()
        credential = f"{credentials.access_key}/{scope}"
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}"
        )
        return headers

    def _key(self, day: str, secret: str) -> bytes:
        kept = self._kept
        if kept is not None and kept[0] == (day, secret):
            return kept[1]
        key = f"AWS4{secret}".encode()
        for part in (day, self._region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._kept = ((day, secret), key)
        return key


def encoded_path(bucket: str, key: str) -> str:
    """Return the path of an object, encoded as S3 signs it; `bucket` is "" where the host names it."""
    path = quote(key, safe="/~")
    return f"/{bucket}/{path}" if bucket else f"/{path}"
