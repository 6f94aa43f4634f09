"""What AWS's errors mean, and how its clients are made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import botocore
import botocore.exceptions
import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.handlers import remove_bucket_from_url_paths_from_model

from shipper.aws import AwsSessions, AwsSettings, classify
from shipper.errors import ConfigError, RetryableError, UnreadableError


def refused(code: str, operation: str = "ListObjectsV2", status: int = 400, **headers: str) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": "own words"},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    return ClientError(answer, operation)


@pytest.mark.parametrize(
    ("error", "paused"),
    [
        (refused("SlowDown", status=503), False),
        (refused("SlowDown", "GetObject", status=503), False),
        (refused("ThrottlingException", "FilterLogEvents"), False),
        (refused("InternalError", status=500), False),
        (refused("ServiceUnavailable", status=503), False),
        (refused("ExpiredToken"), True),
        (refused("ExpiredToken", "GetObject"), True),
        (refused("InvalidAccessKeyId", status=403), True),
        (refused("SignatureDoesNotMatch", "GetObject", status=403), True),
        (refused("RequestTimeTooSkewed", status=403), True),
        (refused("AccessDenied", status=403), True),
        (refused("AccessDenied", "AssumeRole", status=403), True),
        (refused("NoSuchBucket", status=404), True),
        (refused("NoSuchBucket", "GetObject", status=404), True),
        (refused("PermanentRedirect", status=301), False),
        (refused("AuthorizationHeaderMalformed", status=400), True),
        (botocore.exceptions.NoCredentialsError(), True),
        (botocore.exceptions.CredentialRetrievalError(provider="x", error_msg="y"), True),
        (botocore.exceptions.SSLError(endpoint_url="https://x", error=OSError("bad certificate")), True),
        (botocore.exceptions.ConnectTimeoutError(endpoint_url="https://x"), False),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="https://x"), False),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="https://x"), False),
        (botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), False),
        (botocore.exceptions.ResponseStreamingError(error="reset"), False),
        (ConnectionResetError(), False),
    ],
    ids=str,
)
def test_what_is_tried_again(error, paused):
    """Throttling and broken connections wait; credentials and permissions raise an alarm as well."""
    meaning = classify(error)
    assert isinstance(meaning, RetryableError)
    assert meaning.paused is paused
    assert str(meaning)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("NoSuchKey", "missing"),
        ("NoSuchVersion", "missing"),
        ("404", "missing"),
        ("AccessDenied", "forbidden"),
        ("403", "forbidden"),
        ("KMS.DisabledException", "forbidden"),
        ("KMS.KMSInvalidStateException", "forbidden"),
        ("InvalidObjectState", "archived"),
    ],
)
def test_what_leaves_one_object_out(code: str, kind: str):
    """An object that is missing, forbidden or archived does not hold up its neighbours."""
    meaning = classify(refused(code, "GetObject", status=403))
    assert isinstance(meaning, UnreadableError)
    assert meaning.kind == kind
    assert "own words" in str(meaning)


@pytest.mark.parametrize(
    ("operation", "permission"),
    [("ListObjectsV2", "s3:ListBucket"), ("AssumeRole", "sts:AssumeRole"), ("GetObject", "s3:GetObject")],
)
def test_a_refusal_names_the_missing_permission(operation: str, permission: str):
    """The operator is told which permission to grant, next to the server's own words."""
    assert f"needs {permission}" in str(classify(refused("AccessDenied", operation, 403)))


def test_a_refusal_by_kms_names_its_permission():
    """S3 says AccessDenied for a key's refusal too; the message tells them apart."""
    error = refused("AccessDenied", "GetObject", 403)
    error.args = ("not authorized to perform: kms:Decrypt on resource",)
    assert "needs kms:Decrypt" in str(classify(error))


def test_the_servers_wish_to_wait_is_heard():
    """Retry-After is passed on in seconds."""
    meaning = classify(refused("SlowDown", status=503, **{"retry-after": "7"}))
    assert isinstance(meaning, RetryableError)
    assert meaning.retry_after == 7.0


@pytest.mark.parametrize("url", ["http://10.0.0.1:9000", "http://minio.example", "ftp://127.0.0.1", "nonsense"])
def test_plain_http_is_for_this_machine_only(url: str):
    """Logs never go over a network unencrypted unless that is asked for."""
    with pytest.raises(ConfigError):
        AwsSessions(AwsSettings(region="us-east-1", endpoint_url=url))


@pytest.mark.parametrize(
    "settings",
    [
        AwsSettings(region="eu-west-1", endpoint_url="http://127.0.0.1:9000"),
        AwsSettings(region="eu-west-1", endpoint_url="http://[::1]:9000"),
        AwsSettings(region="eu-west-1", endpoint_url="http://localhost:9000"),
        AwsSettings(region="eu-west-1", endpoint_url="http://minio.example", allow_insecure_http=True),
    ],
)
def test_other_servers_are_addressed_by_path(settings: AwsSettings):
    """Emulators and S3-compatible servers have no name for each bucket."""
    client = AwsSessions(settings, threads=40).client("s3")
    assert client.meta.endpoint_url == settings.endpoint_url
    assert client.meta.config.s3["addressing_style"] == "path"
    assert client.meta.config.max_pool_connections >= 40
    assert client.meta.region_name == "eu-west-1"


def test_one_client_for_a_service():
    """Making a client costs a tenth of a second, so it is made once."""
    sessions = AwsSessions(AwsSettings(region="eu-west-1"))
    assert sessions.client("s3") is sessions.client("s3")
    assert sessions.client("s3", "us-east-1") is not sessions.client("s3")


def test_a_client_that_is_forgotten_is_made_anew():
    """And what was never made can be forgotten too."""
    sessions = AwsSessions(AwsSettings(region="eu-west-1"))
    first = sessions.client("s3")
    sessions.forget("s3")
    sessions.forget("s3")
    assert sessions.client("s3") is not first


@pytest.mark.parametrize("service", ["s3", "sqs", "sts", "iam", "logs"])
def test_services_are_described_as_botocore_does(service: str):
    """Reading botocore's descriptions faster changes nothing of them, and nothing of the addresses they give."""
    ours = AwsSessions(AwsSettings(region="eu-west-1")).client(service)
    theirs = botocore.session.Session().create_client(service, "eu-west-1")
    assert ours.meta.endpoint_url == theirs.meta.endpoint_url
    assert ours.meta.service_model.metadata == theirs.meta.service_model.metadata
    for name in theirs.meta.service_model.operation_names:
        one, other = (client.meta.service_model.operation_model(name) for client in (ours, theirs))
        for model in (one, other):  # as the first call of each operation does, and an earlier test may have
            remove_bucket_from_url_paths_from_model({}, model, {})
        assert (one.http, one.input_shape and dict(one.input_shape.members).keys()) == (
            other.http,
            other.input_shape and dict(other.input_shape.members).keys(),
        )


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2026-01-02T03:04:05.000Z", 1767323045.0),
        ("2026-01-02T03:04:05Z", 1767323045.0),
        ("2026-01-02T05:04:05.250+02:00", 1767323045.25),
        ("Fri, 02 Jan 2026 03:04:05 GMT", 1767323045.0),
        ("1767323045", 1767323045.0),
        ("2026-13-02T03:04:05.000Z", None),
    ],
)
def test_times_in_answers_are_read_in_every_form(written: str, seconds: float | None):
    """S3's own form is read fast, all others as botocore reads them; what is none is an error, not another time."""
    client = AwsSessions(AwsSettings(region="eu-west-1")).client("s3")
    text = f"<ListBucketResult><Contents><LastModified>{written}</LastModified></Contents></ListBucketResult>"
    answer = SimpleNamespace(status_code=200, headers={}, content=text.encode())
    client.meta.events.register("before-send.s3", lambda **_: answer)
    client.meta.events.register("choose-signer.s3", lambda **_: botocore.UNSIGNED)
    if seconds is None:
        with pytest.raises(ValueError, match="Invalid timestamp"):
            client.list_objects_v2(Bucket="one")
        return
    assert client.list_objects_v2(Bucket="one")["Contents"][0]["LastModified"].timestamp() == seconds


def test_an_unknown_profile_is_a_configuration_error():
    """A profile that does not exist is told at the start, not at the first call."""
    with pytest.raises(ConfigError, match="no-such-profile"):
        AwsSessions(AwsSettings(region="eu-west-1", profile="no-such-profile"))


def test_no_region_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch):
    """Services that need a region say so with a hint."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(ConfigError, match="region"):
        AwsSessions(AwsSettings()).client("logs")


def test_the_external_id_is_never_shown():
    """Settings may be logged; the external id is not in them."""
    assert "hush" not in repr(AwsSettings(role_arn="arn:aws:iam::1:role/x", external_id="hush"))
