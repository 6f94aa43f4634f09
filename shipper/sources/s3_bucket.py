"""One S3 bucket as the listing source sees it: pages of keys, and folders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from shipper.aws import AWS_ERRORS, answered, as_retryable
from shipper.model import S3Object

LEVEL_KEYS = 100
"""So many of the objects that lie directly in a folder are named."""


def is_marker(key: str, size: int) -> bool:
    """Return whether an object only stands for a folder, as consoles make them."""
    return size == 0 and key.endswith("/")


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a listing, in the order of S3: by the keys' UTF-8 bytes.

    Attributes:
        more: whether further keys follow.
    """

    objects: tuple[S3Object, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Level:
    """What lies directly in a folder.

    Attributes:
        folders: their whole names.
        keys: of the first objects; markers of folders are none.
        more_keys: how many more objects there are.
    """

    folders: list[str]
    keys: list[str]
    more_keys: int = 0


class Bucket(Protocol):
    """What the listing source asks of a bucket. Used by one thread; blocks on the network."""

    name: str

    def page(self, prefix: str, after: str) -> Page:
        """Return the next objects whose keys begin with `prefix` and come after `after`.

        Raises:
            RetryableError: the listing failed.
        """
        ...

    def level(self, prefix: str) -> Level:
        """Return what follows `prefix` up to the next `/`, with the prefix, as ListObjectsV2 with a delimiter does.

        Raises:
            RetryableError: the listing failed.
        """
        ...


class S3Bucket:
    """A bucket behind a boto3 client.

    Each page is asked for by the last key of the one before instead of a continuation token: it works the same after
    hours, an error or a restart.

    Args:
        expected_owner: account id; any other owner of the bucket is refused by S3.
    """

    def __init__(self, client: Any, name: str, expected_owner: str | None = None) -> None:
        self.name = name
        self._client = client
        self._extra = {"ExpectedBucketOwner": expected_owner} if expected_owner else {}

    def page(self, prefix: str, after: str) -> Page:
        """See Bucket."""
        answer = self._list(Prefix=prefix, StartAfter=after)
        return Page(
            tuple(
                S3Object(
                    self.name, item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"].timestamp()
                )
                for item in answer.get("Contents", ())
            ),
            more=bool(answer.get("IsTruncated")),
        )

    def level(self, prefix: str) -> Level:
        """See Bucket."""
        folders: list[str] = []
        keys: list[str] = []
        more = 0
        token: dict[str, str] = {}
        while True:
            answer = self._list(Prefix=prefix, Delimiter="/", **token)
            folders.extend(item["Prefix"] for item in answer.get("CommonPrefixes", ()))
            here = [item["Key"] for item in answer.get("Contents", ()) if not is_marker(item["Key"], item["Size"])]
            room = max(LEVEL_KEYS - len(keys), 0)
            keys += here[:room]
            more += len(here[room:])
            if not answer.get("IsTruncated"):
                return Level(folders, keys, more)
            token = {"ContinuationToken": answer["NextContinuationToken"]}

    def _list(self, **arguments: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._client.list_objects_v2(Bucket=self.name, **arguments, **self._extra)
            answered(answer, "IsTruncated", "KeyCount", "Name")
        except AWS_ERRORS as error:
            raise as_retryable(error) from error
        return answer
