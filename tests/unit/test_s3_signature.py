"""Signatures are those that botocore makes, for every kind of key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from shipper.sources.s3_signature import GetSigner, encoded_path

KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)


class Frozen(NamedTuple):
    access_key: str
    secret_key: str
    token: str | None


SECRETS = Frozen("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
TOKEN = Frozen("ASIAEXAMPLE", "secret", "token/with+signs==")


@given(key=KEYS, version=st.none() | st.text("abcXYZ019._-", min_size=1, max_size=32), owner=st.booleans())
def test_signatures_are_botocores(key, version, owner):
    """Whatever the key, with a version and an owner, with and without a session's token."""
    for credentials in (SECRETS, TOKEN):
        path = encoded_path("bucket", key)
        query = f"versionId={quote(version, safe='')}" if version else ""
        extra = {"x-amz-expected-bucket-owner": "111122223333"} if owner else {}
        url = f"https://s3.eu-west-1.amazonaws.com{path}{'?' if query else ''}{query}"
        request = AWSRequest("GET", url, headers=dict(extra))
        request.context["payload_signing_enabled"] = True
        auth = S3SigV4Auth(
            Credentials(credentials.access_key, credentials.secret_key, credentials.token), "s3", "eu-west-1"
        )
        auth.add_auth(request)
        now = datetime.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        headers = GetSigner("eu-west-1").headers("s3.eu-west-1.amazonaws.com", path, query, extra, credentials, now)
        assert headers["authorization"] == request.headers["Authorization"]
        assert headers.get("x-amz-security-token") == credentials.token


def test_the_day_and_the_secret_change_the_key():
    """What is kept from one request serves only those of the same day and secret."""
    signer = GetSigner("us-east-1")

    def signed(credentials: Frozen, now: float) -> str:
        return signer.headers("h", "/k", "", {}, credentials, now)["authorization"].rpartition("=")[2]

    fresh = GetSigner("us-east-1").headers("h", "/k", "", {}, SECRETS, 86_400.0)["authorization"].rpartition("=")[2]
    first = signed(SECRETS, 0.0)
    assert signed(SECRETS, 86_400.0) == fresh != first
    assert signed(TOKEN, 0.0) != first
    assert signed(SECRETS, 0.0) == first


@pytest.mark.parametrize(
    ("bucket", "key", "path"),
    [
        ("b", "a/b c+d", "/b/a/b%20c%2Bd"),
        ("", "ä~", "/%C3%A4~"),
        ("b", "/leading//double", "/b//leading//double"),
        ("b", "..", "/b/.."),
    ],
)
def test_paths_are_encoded_once(bucket, key, path):
    """Slashes stay, also double ones: S3's keys are not normalised."""
    assert encoded_path(bucket, key) == path
