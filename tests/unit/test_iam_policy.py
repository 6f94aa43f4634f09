"""`shipper iam-policy`: the least permissions of a configuration, exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from shipper import cli, config
from shipper.build.iam_policy import policies
from shipper.build.permissions import ENRICHMENTS, SOURCES
from shipper.config.enrich import Enrich
from shipper.config.sources import SOURCE_KINDS
from shipper.config.values import Surroundings
from tests.fakes.iam import allows

KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
QUEUE = "https://sqs.eu-west-1.amazonaws.com/111122223333/logs"


def settings(sources: dict[str, Any], **sections: Any) -> config.Settings:
    text = {"aws": {"region": "eu-west-1"}, "sources": sources, "sinks": {"a": {"type": "archive", "path": "a"}}}
    return config.parse(json.dumps({**text, **sections}), name="f", environ={}, around=Surroundings())


def test_the_least_configuration_needs_two_actions():
    """Nothing but listing the prefix and reading below it."""
    found = policies(settings({"t": {"type": "s3", "bucket": "my-trail", "prefix": "AWSLogs/"}}))
    assert found == {
        "own": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "ListBuckets",
                    "Effect": "Allow",
                    "Action": "s3:ListBucket",
                    "Resource": "arn:aws:s3:::my-trail",
                    "Condition": {"StringLike": {"s3:prefix": "AWSLogs/*"}},
                },
                {
                    "Sid": "ReadObjects",
                    "Effect": "Allow",
                    "Action": "s3:GetObject",
                    "Resource": "arn:aws:s3:::my-trail/AWSLogs/*",
                },
            ],
        }
    }


def test_every_source_and_enrichment_is_in_the_tables():
    """A new one cannot be forgotten."""
    assert set(SOURCES) == set(SOURCE_KINDS)
    assert set(ENRICHMENTS) == set(Enrich.model_fields)


def test_roles_have_policies_of_their_own():
    """The daemon's own credentials need nothing but the roles; the same role of two sources has one policy."""
    role = "arn:aws:iam::444455556666:role/path/ship"
    one = {"type": "s3", "bucket": "one-bucket", "aws": {"role_arn": role}}
    two = {"type": "cloudwatch_logs", "log_groups": ["app"], "logs": "cloudwatch", "aws": {"role_arn": role}}
    found = policies(settings({"a": one, "b": two}))
    assert list(found) == ["own", role]
    (only,) = found["own"]["Statement"]
    assert only == {"Sid": "AssumeRoles", "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role}
    resources = [statement["Resource"] for statement in found[role]["Statement"]]
    assert resources == [
        "arn:aws:s3:::one-bucket",
        "arn:aws:s3:::one-bucket/*",
        "arn:aws:logs:eu-west-1:444455556666:log-group:*",
        "arn:aws:logs:eu-west-1:444455556666:log-group:app:*",
    ]


def test_profiles_are_told_apart():
    """Each profile's credentials are somebody else's."""
    source = {"type": "s3", "bucket": "one-bucket"}
    found = policies(settings({"a": source, "b": {**source, "aws": {"profile": "other"}}}))
    assert list(found) == ["own", "profile:other"]


def test_characters_with_a_meaning_in_policies_stand_for_themselves():
    """A prefix may contain `*`, `?` and `$`; access points have another form of objects."""
    point = "arn:aws:s3:eu-west-1:111122223333:accesspoint/logs"
    source = {"type": "s3", "bucket": point, "prefix": "a*b?$/"}
    (policy,) = policies(settings({"t": source})).values()
    within, beside = {"s3:prefix": "a*b?$/x"}, {"s3:prefix": "aXbY$/x"}
    assert allows(policy, "s3:ListBucket", point, within)
    assert not allows(policy, "s3:ListBucket", point, beside)
    assert not allows(policy, "s3:ListBucket", point, {})
    assert allows(policy, "s3:GetObject", f"{point}/object/a*b?$/x", {})
    assert not allows(policy, "s3:GetObject", f"{point}/object/aXbY$/x", {})


@pytest.mark.parametrize(
    ("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("us-east-1", "aws")]
)
def test_partitions(region, partition):
    """China and GovCloud have ARNs of their own."""
    source = {"type": "cloudwatch_logs", "log_groups": ["app"], "tags": {"a": "b"}, "aws": {"region": region}}
    text = json.dumps(policies(settings({"t": source})))
    assert f'"arn:{partition}:logs:{region}:*:log-group:app:*"' in text
    assert f'"arn:{partition}:logs:{region}:*:log-group:app"' in text


def test_keys_are_for_those_who_read_what_they_encrypt():
    """By way of the services that are read alone; who only assumes roles needs none."""
    role = "arn:aws:iam::444455556666:role/ship"
    source = {"type": "s3_notifications", "queue_url": QUEUE, "buckets": ["one-bucket"], "aws": {"role_arn": role}}
    found = policies(settings({"q": source}), kms_keys=(KEY,))
    via = {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}
    assert allows(found[role], "kms:Decrypt", KEY, via)
    assert allows(found[role], "kms:Decrypt", KEY, {"kms:ViaService": "sqs.eu-west-1.amazonaws.com"})
    assert not allows(found[role], "kms:Decrypt", KEY, {"kms:ViaService": "logs.eu-west-1.amazonaws.com"})
    assert not allows(found[role], "kms:GenerateDataKey", KEY, via)
    assert not allows(found["own"], "kms:Decrypt", KEY, via)


def run(tmp_path: Path, *arguments: str) -> Any:
    path = tmp_path / "shipper.yaml"
    path.write_text(
        "aws: {region: eu-west-1}\nsources: {t: {type: s3, bucket: my-trail}}\n"
        "sinks: {siem: {type: elasticsearch, hosts: ['http://127.0.0.1:9'], api_key_file: missing}}\n"
    )
    path.chmod(0o600)
    return CliRunner().invoke(cli.shipper, ["iam-policy", "-c", str(path), *arguments], standalone_mode=False)


def test_the_command_prints_policies_by_identity(tmp_path):
    """JSON alone on standard output; secrets are not needed; the hint on keys goes elsewhere."""
    result = run(tmp_path)
    assert set(json.loads(result.stdout)) == {"own"}
    assert "--kms-key" in result.stderr
    assert result.return_value == 0


def test_one_policy_is_ready_for_iam(tmp_path):
    """With a key and a queue; the document alone."""
    result = run(tmp_path, "--identity", "own", "--kms-key", KEY, "--to-queue", QUEUE, "--source", "t")
    policy = json.loads(result.stdout)
    assert policy["Version"] == "2012-10-17"
    assert [statement["Sid"] for statement in policy["Statement"]] == [
        "ListBuckets",
        "ReadObjects",
        "PutOnQueue",
        "UseKeys",
    ]
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--identity", "nobody"], "must be one of own"),
        (["--kms-key", "alias/logs"], "must be a key's ARN"),
        (["--source", "nothing", "--to-queue", QUEUE], "no source is called 'nothing'"),
        (["--to-queue", "logs"], "must be an address"),
    ],
)
def test_mistakes_are_named(tmp_path, arguments, words):
    """What is wrong, and what would be right."""
    result = run(tmp_path, *arguments)
    assert result.exception is not None
    assert words in str(result.exception)
