"""CloudTrail digest files as ECS documents, as Elastic's AWS integration maps them.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html
"""

from __future__ import annotations

from typing import Any

from shipper.errors import BadInputError
from shipper.schemas.cloudtrail_record import loaded, time_of
from shipper.schemas.ecs.cloudtrail_subtrees import cleaned

_TIMES = {
    "start_time": "digestStartTime",
    "end_time": "digestEndTime",
    "newest_event_time": "newestEventTime",
    "oldest_event_time": "oldestEventTime",
}
_TEXTS = {
    "s3_bucket": "digestS3Bucket",
    "previous_s3_bucket": "previousDigestS3Bucket",
    "previous_s3_object": "previousDigestS3Object",
    "previous_hash_algorithm": "previousDigestHashAlgorithm",
    "public_key_fingerprint": "digestPublicKeyFingerprint",
    "signature_algorithm": "digestSignatureAlgorithm",
    "log_files": "logFiles",
}


def digest_fields(raw: bytes) -> tuple[int, dict[str, Any]]:
    """Map a digest file.

    Returns:
        its time in milliseconds since the epoch, and ECS fields.

    Raises:
        BadInputError: it has no time.
    """
    digest = loaded(raw)
    time_ms, stamp = time_of(str(digest.get("digestEndTime") or ""))
    fields: dict[str, Any] = {}
    for name, theirs in _TIMES.items():
        try:
            fields[name] = time_of(str(digest.get(theirs) or ""))[1]
        except BadInputError:
            continue
    for name, theirs in _TEXTS.items():
        if (value := cleaned(digest.get(theirs))) is not None:
            fields[name] = value
    document: dict[str, Any] = {
        "@timestamp": stamp,
        "event": {
            "kind": "event",
            "type": ["info"],
            "outcome": "success",
            "module": "aws",
            "dataset": "aws.cloudtrail",
        },
        "cloud": {"provider": "aws", "account": {"id": str(digest.get("awsAccountId") or "")}},
        "file": {"path": digest.get("digestS3Object")},
        "aws": {"cloudtrail": {"flattened": {"digest": fields}}},
    }
    if digest.get("previousDigestHashAlgorithm") == "SHA-256" and (signature := digest.get("previousDigestSignature")):
        document["file"]["hash"] = {"sha256": signature}
        document["related"] = {"hash": [signature]}
    return time_ms, document
