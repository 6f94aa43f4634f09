"""Reads a split's S3 objects: small ones whole and ahead of time, large ones as a stream that outlives connections."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import urllib3.exceptions

from shipper.aws import AWS_ERRORS, classify
from shipper.errors import RetryableError, UnreadableError
from shipper.model import Origin, Payload, S3Object, Split
from shipper.sources.s3_get import SmallGet
from shipper.sources.s3_keys import account_and_region

_WHOLE_BYTES = 8_388_608
_CHUNK_BYTES = 1_048_576
_RUN_OBJECTS = 8
_RUN_BYTES = 131_072
_ATTEMPTS = 3
_FAILURES = (*AWS_ERRORS, urllib3.exceptions.HTTPError, OSError)


class S3Reader:
    """Implements `ports.Reader` over boto3's GetObject; safe to use from many threads.

    A body that breaks off or has the wrong length is asked for again, three times without any progress at most. The
    stored bytes are handed on as they are: a Content-Encoding is not undone.

    Args:
        client: boto3's S3 client, whose connection pool is larger than `threads` and the workers together.
        threads: how many small objects are fetched at once, over all splits.
        ahead: how many objects of one split are fetched before they are asked for; a run of very small ones counts as
            a whole, since handing each over from thread to thread would cost more than its records.
        small: a cheaper way to get small objects, asked first; None where there is none.
        expected_bucket_owner: account id; S3 refuses the bucket where another account owns it.
        logs_region: the region of data whose keys do not say it.
    """

    def __init__(
        self,
        client: Any,
        *,
        threads: int = 8,
        ahead: int = 4,
        expected_bucket_owner: str | None = None,
        small: SmallGet | None = None,
        logs_region: str = "",
    ) -> None:
        self._client = client
        self._small = small
        self._logs_region = logs_region
        self._ahead = ahead
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="s3-get")
        self._extra = {"ExpectedBucketOwner": expected_bucket_owner} if expected_bucket_owner else {}

    def open(self, split: Split) -> Iterator[Payload | tuple[S3Object, Exception]]:
        """See ports.Reader."""
        coming: deque[_Run] = deque()
        left = _runs(split.objects)
        try:
            while True:
                while sum(len(run.items) for run in coming) <= self._ahead and (run := next(left, None)) is not None:
                    if run.items[0].size <= _WHOLE_BYTES:
                        run.future = self._pool.submit(self._fetch_all, run)
                    coming.append(run)
                if not coming:
                    return
                run = coming.popleft()
                if run.future is None:
                    yield from self._stream(run.items[0])
                else:
                    coming.appendleft(run)  # until it is there: giving up may come meanwhile
                    found = run.future.result()
                    coming.popleft()
                    for item, data in zip(run.items, found, strict=True):
                        yield from self._whole(item, data)
        finally:
            for run in coming:
                run.given_up = True
                if run.future is not None:
                    run.future.cancel()

    def _origin(self, item: S3Object) -> Origin:
        account, region = account_and_region(item.key)
        modified_ms = int(item.last_modified * 1000) or None  # 0 where nobody said it
        return Origin(item.uri, item.bucket, item.key, account, region or self._logs_region, modified_ms)

    def close(self) -> None:
        """Give back the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _fetch_all(self, run: _Run) -> list[bytes | UnreadableError | None]:
        found: list[bytes | UnreadableError | None] = []
        room = _WHOLE_BYTES  # for a run altogether, should its objects be larger than they were said to be
        for item in run.items:
            if run.given_up:
                raise RetryableError("given up")
            try:
                data = self._fetch(item) if room > 0 else None
            except UnreadableError as error:
                found.append(error)
            else:
                found.append(data)
                room -= len(data or b"")
        return found

    def _fetch(self, item: S3Object) -> bytes | None:
        """Return a whole object; None where it is larger than it was said to be, and has to be streamed.

        Raises:
            UnreadableError, RetryableError: as `shipper.aws.classify` says.
        """
        if self._small is not None and (found := self._small.get(item)) is not None:
            return found
        failures = 0
        while True:
            answer = self._get(item)
            length = answer.get("ContentLength")
            if length is not None and length > _WHOLE_BYTES:
                answer["Body"].close()
                return None
            try:
                # What S3 Object Lambda makes may come without a length: its end is the end of the last chunk.
                data: bytes = answer["Body"].read() if length is not None else answer["Body"].read(_WHOLE_BYTES + 1)
                if len(data) > _WHOLE_BYTES:
                    answer["Body"].close()
                    return None
                _check_length(item, len(data), len(data) if length is None else length)
            except (RetryableError, *_FAILURES) as error:
                failures += 1
                if failures == _ATTEMPTS:
                    raise _broken(item, error) from error
            else:
                return data

    def _whole(
        self, item: S3Object, data: bytes | UnreadableError | None
    ) -> Iterator[Payload | tuple[S3Object, Exception]]:
        if isinstance(data, UnreadableError):
            yield item, data
        elif data is None:
            yield from self._stream(item)
        else:
            yield Payload(self._origin(item), iter((data,)), len(data))

    def _stream(self, item: S3Object) -> Iterator[Payload | tuple[S3Object, Exception]]:
        try:
            answer = self._get(item)
        except UnreadableError as error:
            yield item, error
            return
        stream = _Stream(self, item, answer)
        try:
            yield Payload(self._origin(item), stream.chunks(), answer.get("ContentLength", item.size))
        finally:
            stream.close()

    def _get(self, item: S3Object, **conditions: str) -> dict[str, Any]:
        version = {"VersionId": item.version_id} if item.version_id else {}
        try:
            answer: dict[str, Any] = self._client.get_object(
                Bucket=item.bucket, Key=item.key, **version, **self._extra, **conditions
            )
        except _FAILURES as error:
            raise classify(error) from error
        return answer


class _Stream:
    """One large object's bytes, over as many connections as it takes."""

    def __init__(self, reader: S3Reader, item: S3Object, answer: dict[str, Any]) -> None:
        self._reader = reader
        self._item = item
        self._body = answer["Body"]
        self._size: int | None = answer.get("ContentLength")
        # A later piece must be of the same object, should it be overwritten meanwhile.
        self._etag: str | None = answer.get("ETag")

    def chunks(self) -> Iterator[bytes]:
        """Yield the object's bytes in order.

        Raises:
            RetryableError: the connection broke three times without a byte, or the object was overwritten.
        """
        place = failures = 0
        while self._size is None or place < self._size:
            try:
                chunk = self._body.read(_CHUNK_BYTES)
                if not chunk and self._size is None:
                    return
                _check_length(self._item, place, place if chunk or self._size is None else self._size)
            except (RetryableError, *_FAILURES) as error:
                failures += 1
                if failures == _ATTEMPTS or self._size is None or self._etag is None:
                    raise _broken(self._item, error) from error
                self._resume(place)
                continue
            failures = 0
            place += len(chunk)
            yield chunk

    def close(self) -> None:
        """Give up the connection; what was not read is not wanted."""
        self._body.close()

    def _resume(self, place: int) -> None:
        self._body.close()
        try:
            answer = self._reader._get(self._item, Range=f"bytes={place}-", IfMatch=str(self._etag))  # noqa: SLF001 - its own part
        except UnreadableError as error:
            raise RetryableError(str(error), hint=error.hint) from error
        self._body = answer["Body"]


@dataclass(slots=True, eq=False)
class _Run:
    """Objects that one thread fetches one after the other; a single one where it is not very small.

    Attributes:
        future: None for an object that is streamed.
        given_up: nobody waits for the rest of it any more.
    """

    items: list[S3Object]
    future: Future[list[bytes | UnreadableError | None]] | None = None
    given_up: bool = False


def _runs(objects: Iterable[S3Object]) -> Iterator[_Run]:
    gathered: list[S3Object] = []
    size = 0
    for item in objects:
        if gathered and (len(gathered) == _RUN_OBJECTS or size + item.size > _RUN_BYTES):
            yield _Run(gathered)
            gathered, size = [], 0
        gathered.append(item)
        size += item.size
    if gathered:
        yield _Run(gathered)


def _check_length(item: S3Object, came: int, expected: int) -> None:
    if came != expected:
        raise RetryableError(f"{item.uri}: {came} of {expected} bytes came")


def _broken(item: S3Object, error: Exception) -> RetryableError:
    if isinstance(error, RetryableError):
        return error
    meaning = classify(error)
    paused = isinstance(meaning, RetryableError) and meaning.paused
    return RetryableError(f"{item.uri}: {meaning}", paused=paused, hint=meaning.hint)
