"""Our own signature of GetObject is the one that botocore makes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import example, given
from hypothesis import strategies as st

from shipper.sources.s3_signature import GetSigner, encoded_path

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)


@dataclass
class Frozen:
    """What botocore's frozen credentials offer."""

    access_key: str
    secret_key: str
    token: str | None = None


def both(key: str, *, token: str | None = None, version: str = "", owner: str = "") -> tuple[str, str]:
    """The authorization that botocore gives a request, and ours for the same moment."""
    credentials = BotocoreCredentials("AKIDEXAMPLE", SECRET, token)
    host, path = "my-trail.s3.eu-central-1.amazonaws.com", encoded_path("", key)
    query = f"versionId={quote(version, safe='')}" if version else ""
    extra = {"x-amz-expected-bucket-owner": owner} if owner else {}
    request = AWSRequest("GET", f"https://{host}{path}{'?' if query else ''}{query}", headers=dict(extra))
    S3SigV4Auth(credentials, "s3", "eu-central-1").add_auth(request)
    moment = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    signer = GetSigner("eu-central-1")
    frozen = Frozen("AKIDEXAMPLE", SECRET, token)
    ours = signer.headers(host, path, query, extra, frozen, moment.timestamp())
    again = signer.headers(host, path, query, extra, frozen, moment.timestamp())
    assert ours == again  # the kept key signs as a new one does
    return str(request.headers["Authorization"]), ours["authorization"]


@given(KEYS)
@example("AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/01/111122223333_CloudTrail_us-east-1_x.json.gz")
@example("a b+c&d=e?f#g/%2F/~/ä/€/:@,;")
def test_any_key_is_signed_as_botocore_signs_it(key: str) -> None:
    """Whatever characters a key has, S3 sees a signature that it accepts."""
    theirs, ours = both(key)
    assert ours == theirs


@pytest.mark.parametrize(
    ("token", "version", "owner"),
    [("session/token+==", "", ""), (None, "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY", ""), ("t", "v", "111122223333")],
)
def test_tokens_versions_and_owners_are_signed(token: str | None, version: str, owner: str) -> None:
    """A role's session token, an object's version and the expected owner are part of the signature."""
    theirs, ours = both("AWSLogs/x.json.gz", token=token, version=version, owner=owner)
    assert ours == theirs


def test_a_new_day_and_new_credentials_have_new_keys() -> None:
    """The kept signing key is only used for its own day and secret."""
    first = Frozen("AKIDEXAMPLE", SECRET)
    second = Frozen("AKIDEXAMPLE", SECRET[::-1])
    signer = GetSigner("us-east-1")
    days = [1_767_225_600.0, 1_767_225_600.0 + 86_400]
    seen = {signer.headers("h", "/k", "", {}, who, now)["authorization"] for who in (first, second) for now in days}
    fresh = {
        GetSigner("us-east-1").headers("h", "/k", "", {}, who, now)["authorization"]
        for who in (first, second)
        for now in days
    }
    assert seen == fresh
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("bucket", "key", "path"),
    [
        ("b", "a/b c+d", "/b/a/b%20c%2Bd"),
        ("", "ä~", "/%C3%A4~"),
        ("b", "/leading//double", "/b//leading//double"),
        ("b", "..", "/b/.."),
    ],
)
def test_paths_are_encoded_once(bucket: str, key: str, path: str) -> None:
    """Slashes stay, also double ones: S3's keys are not normalised."""
    assert encoded_path(bucket, key) == path
