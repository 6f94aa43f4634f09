"""Where AWS cannot be used at all, `check` and the log name the cause and its remedy, and no missing permission."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import botocore.exceptions as raised
import pytest
from botocore.exceptions import ClientError

from shipper import cli
from shipper.aws import AwsSessions, AwsSettings, as_retryable, classify
from shipper.aws_remedies import remedy_of
from shipper.errors import ConfigError, RetryableError, UnreadableError
from shipper.sources.cloudwatch_calls import GroupError
from tests.fakes.aws_refusals import RefusingAws
from tests.unit.test_aws import refused

CAUSES = [
    (raised.NoCredentialsError(), "no AWS credentials were found", "AWS_ACCESS_KEY_ID"),
    (raised.PartialCredentialsError(provider="env", cred_var="x"), "not complete", "AWS_SECRET_ACCESS_KEY"),
    (refused("ExpiredToken"), "expired", "renew"),
    (refused("ExpiredTokenException", "FilterLogEvents"), "expired", "renew"),
    (refused("ExpiredToken", "AssumeRole"), "expired", "renew"),
    (refused("InvalidToken"), "session token", "AWS_SESSION_TOKEN"),
    (refused("InvalidClientTokenId", "GetCallerIdentity", 403), "does not know the access key", "deleted"),
    (refused("InvalidAccessKeyId", status=403), "does not know the access key", "deleted"),
    (refused("UnrecognizedClientException", "DescribeLogGroups"), "does not know the access key", "deleted"),
    (refused("AuthFailure", "DescribeInstances", 401), "does not know the access key", "deleted"),
    (refused("SignatureDoesNotMatch", status=403), "does not fit", "AWS_SECRET_ACCESS_KEY"),
    (refused("InvalidSignatureException", "ReceiveMessage", 403), "does not fit", "AWS_SECRET_ACCESS_KEY"),
    (refused("RequestTimeTooSkewed", status=403), "clock", "NTP"),
    (refused("MissingAuthenticationTokenException", "DescribeLogGroups"), "without valid credentials", "proxies"),
    (refused("OptInRequired", "DescribeInstances", 401), "may not use this", "enable"),
    (refused("AccessDenied", "AssumeRole", 403), "role cannot be assumed", "trust policy"),
    (refused("AccessDenied", "AssumeRoleWithWebIdentity", 403), "web identity", "service account"),
    (refused("InvalidIdentityToken", "AssumeRoleWithWebIdentity", 400), "web identity", "service account"),
    (refused("ForbiddenException", "GetRoleCredentials", 403), "SSO", "sso_role_name"),
    (raised.UnauthorizedSSOTokenError(), "SSO session has expired", "aws sso login"),
    (raised.SSOTokenLoadError(error_msg="x"), "SSO session has expired", "aws sso login"),
    (raised.TokenRetrievalError(provider="sso", error_msg="x"), "SSO session has expired", "aws sso login"),
    (raised.CredentialRetrievalError(provider="p", error_msg="x"), "what should give", "credential_process"),
    (raised.ProfileNotFound(profile="x"), "profile is not there", "aws.profile"),
    (raised.InvalidConfigError(error_msg="x"), "configuration files", "~/.aws/config"),
    (raised.NoRegionError(), "no AWS region", "aws.region"),
    (raised.UnknownEndpointError(service_name="s3", region_name="x"), "no such AWS region", "aws.region"),
    (raised.EndpointConnectionError(endpoint_url="https://x"), "cannot be reached", "aws.endpoint_url"),
    (raised.ConnectTimeoutError(endpoint_url="https://x"), "cannot be reached", "VPC endpoint"),
    (raised.ProxyConnectionError(proxy_url="http://x"), "proxy cannot be reached", "HTTPS_PROXY"),
    (raised.SSLError(endpoint_url="https://x", error=OSError("x")), "safely", "AWS_CA_BUNDLE"),
]


@pytest.mark.parametrize(("error", "cause", "remedy"), CAUSES)
def test_each_cause_has_its_words_and_its_remedy(error, cause, remedy):
    """The server's own words stay in the message; a log line has both."""
    meaning = as_retryable(error)
    assert cause in str(meaning)
    assert remedy in meaning.hint
    assert meaning.advice == f"{meaning}; {meaning.hint}"
    assert str(error) in str(meaning)
    assert not meaning.denied
    assert "allow" not in meaning.hint or "sts:AssumeRole" in meaning.hint


def test_an_old_signature_is_the_clocks_fault():
    """The code is that of a wrong key."""
    error = refused("InvalidSignatureException", "ReceiveMessage", 403)
    error.args = ("Signature expired: 20260101T000000Z is now earlier than 20260101T010000Z",)
    assert "clock" in str(classify(error))


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"])
def test_a_refusal_of_who_is_known_is_a_missing_permission(code):
    """Only then a permission is named."""
    error = refused(code, "DescribeLogGroups", 403)
    assert remedy_of(error) is None
    meaning = as_retryable(error)
    assert (meaning.denied, meaning.hint) == (True, "")
    assert "needs logs:DescribeLogGroups" in str(meaning)
    unreadable = classify(refused(code, "GetObject", 403))
    assert isinstance(unreadable, UnreadableError)


@pytest.mark.parametrize("code", ["NoSuchBucket", "InternalError", "ThrottlingException", "ResourceNotFoundException"])
def test_what_aws_says_of_the_call_itself_has_no_such_remedy(code):
    """Nor is it a missing permission."""
    assert remedy_of(refused(code, "ListObjectsV2", 404)) is None
    assert not as_retryable(refused(code, "ListObjectsV2", 404)).denied


def test_a_busy_role_service_is_no_wrong_role():
    """A throttled AssumeRole is tried again."""
    busy = as_retryable(refused("Throttling", "AssumeRole", 400))
    assert (busy.paused, busy.hint) == (False, "")
    assert as_retryable(refused("InternalFailure", "AssumeRole", 500)).hint == ""


def test_a_groups_trouble_keeps_the_remedy():
    """Through pickling too: it comes from workers."""
    error = GroupError("words", "denied", "do this")
    again = error.__reduce__()
    assert again[0](*again[1]).hint == "do this"
    assert not error.denied
    assert GroupError("words", "denied").denied


def config(folder: Path, endpoint: str, **enrich: Any) -> str:
    queue = f"{endpoint}/111122223333/q"
    settings = {
        "state": {"path": str(folder / "state")},
        "listen": "off",
        "aws": {"region": "eu-west-1", "endpoint_url": endpoint},
        "sources": {
            "bucket": {"type": "s3", "bucket": "my-logs"},
            "queue": {"type": "s3_notifications", "queue_url": queue, "buckets": ["my-logs"]},
            "groups": {"type": "cloudwatch_logs", "log_groups": ["/a"], "tags": {"a": "b"}},
        },
        "sinks": {"files": {"type": "archive", "path": str(folder / "a")}},
        "enrich": enrich or {"iam": {}, "interfaces": {}, "resources": {}, "accounts": {}},
    }
    path = folder / "shipper.yaml"
    path.write_text(json.dumps(settings))
    path.chmod(0o600)
    return str(path)


def problems(path: str, capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capfd.readouterr()
    assert cli.run(["check", "--json", "-c", path]) == 1
    found: list[dict[str, Any]] = json.loads(capfd.readouterr().out)["problems"]
    return [each for each in found if each["where"].startswith(("sources.", "enrich."))]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ExpiredToken", "renew"),
        ("InvalidClientTokenId", "does not know"),
        ("UnrecognizedClientException", "does not know"),
        ("SignatureDoesNotMatch", "does not fit"),
    ],
)
def test_check_names_the_cause_for_every_source(code, words, tmp_path, aws_environment, capfd):
    """Bucket, queue, log groups and enrichments: none of them asks for a permission."""
    with RefusingAws(code) as aws:
        found = problems(config(tmp_path, aws.url), capfd)
    assert {each["where"] for each in found} >= {
        *("sources.bucket", "sources.queue", "sources.groups", "enrich.accounts")
    }
    for each in found:
        assert words in each["what"] + each["hint"], each
        assert "allow" not in each["hint"], each
    assert len([each for each in found if each["where"] == "enrich.accounts"]) == 1


def test_check_names_missing_credentials_for_every_source(tmp_path, aws_environment, monkeypatch, capfd):
    """Nothing is asked for; the remedy is where credentials may come from."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with RefusingAws("AccessDenied") as aws:
        found = problems(config(tmp_path, aws.url), capfd)
        assert aws.calls == 0
    assert {each["where"] for each in found} >= {"sources.bucket", "sources.queue", "sources.groups"}
    for each in found:
        assert "no AWS credentials were found" in each["what"]
        assert "AWS_ACCESS_KEY_ID" in each["hint"]
        assert "allow" not in each["hint"]


def test_check_names_permissions_only_for_refusals(tmp_path, aws_environment, capfd):
    """Who asks is known, and may not."""
    with RefusingAws("AccessDenied") as aws:
        found = problems(config(tmp_path, aws.url), capfd)
    hints = {(each["where"], word) for each in found for word in re.split(r'[",` ]+', each["hint"])}
    assert hints >= {
        ("sources.bucket", "s3:ListBucket"),
        ("sources.queue", "s3:ListBucket"),
        ("sources.queue", "sqs:ReceiveMessage"),
        ("sources.groups", "logs:DescribeLogGroups"),
        ("enrich.accounts", "iam-policy"),
    }


def test_a_run_says_the_remedy_in_its_log(tmp_path, aws_environment, monkeypatch, capfd):
    """Who reads the journal needs no `check`."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with RefusingAws("AccessDenied") as aws:
        path = config(tmp_path, aws.url, geoip={})
        capfd.readouterr()
        assert cli.run(["run", "--once", "-c", path]) == 1
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    whys = [line["why"] for line in lines if line["event"] == "source cannot be read, trying again"]
    assert whys
    for why in whys:
        assert "no AWS credentials were found" in why
        assert "AWS_ACCESS_KEY_ID" in why


def test_a_profile_that_is_not_there_is_a_mistake_of_the_configuration(aws_environment):
    """With its remedy."""
    with pytest.raises(ConfigError, match="profile is not there") as caught:
        AwsSessions(AwsSettings(region="eu-west-1", profile="nobody"))
    assert "aws.profile" in caught.value.hint


def test_errors_of_one_object_keep_the_remedy():
    """An object that cannot be fetched for want of credentials is not unreadable."""
    meaning = classify(refused("ExpiredToken", "GetObject", 400))
    assert isinstance(meaning, RetryableError)
    assert "renew" in meaning.hint
    assert isinstance(refused("ExpiredToken"), ClientError)
