"""What may be written in a bucket's place, and what is refused there with what to write instead."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from shipper.access_points import check_bucket_name, is_access_point, split_place
from shipper.config.values import pattern


def _bucket(text: str) -> str:
    check_bucket_name(text)
    return text


def _notified_place(text: str) -> str:
    if is_access_point(split_place(text)[0]):
        raise ValueError(
            "is an access point: notifications name the bucket behind it, and objects are read from there; write the"
            " bucket's name, or read by the access point with a source of type s3"
        )
    check_bucket_name(split_place(text)[0])
    return text


Bucket = Annotated[
    str,
    pattern(
        r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}|arn:aws[a-z-]*:s3[a-z-]*:[A-Za-z0-9:/._*-]{1,300}",
        "must be the bucket's name alone (without s3://), or an access point's ARN",
    ),
    AfterValidator(_bucket),
]
Place = Annotated[
    str,
    pattern(
        r"([A-Za-z0-9][A-Za-z0-9._-]{2,254}|arn:aws[a-z-]*:s3[a-z-]*:[A-Za-z0-9:._*-]{1,300})(/[^\0]{0,1024})?",
        "must be a bucket's name, or bucket/prefix (without s3://)",
    ),
    AfterValidator(_notified_place),
]
