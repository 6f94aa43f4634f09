"""The cheap way to get small objects, over HTTP: what it answers, and what it leaves to boto3."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError

from shipper.errors import UnreadableError
from shipper.model import Payload, S3Object, S3Split
from shipper.sources.s3_get import SmallGet
from shipper.sources.s3_objects import S3Reader
from tests.fakes.s3_server import TroubledS3, running
from tests.parts.moto import set_credentials
from tests.unit.test_s3_signature import SECRET, Frozen


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[TroubledS3, Any]]:
    with pytest.MonkeyPatch.context() as patch, running() as server:
        set_credentials(patch)
        yield server, server.client()


@pytest.fixture
def s3(served: tuple[TroubledS3, Any]) -> TroubledS3:
    server, _ = served
    server.clear()
    return server


@pytest.fixture
def client(served: tuple[TroubledS3, Any]) -> Any:
    return served[1]


def small(url: str, **changes: Any) -> SmallGet:
    return SmallGet(
        url, "us-east-1", **{"by_path": True, "credentials": lambda: Frozen("AKIDEXAMPLE", SECRET), **changes}
    )


def put(s3: TroubledS3, name: str, size: int = 1000) -> S3Object:
    s3.objects[f"trail/{name}"] = random.Random(name).randbytes(size)
    return S3Object("trail", name, size, "x", 0.0)


def fault(s3: TroubledS3, item: S3Object, *kinds: str, after: int = 0) -> None:
    s3.faults[f"trail/{item.key}"] = list(kinds)  # type: ignore[arg-type]  # tests name the kinds literally
    s3.after = after


def test_objects_come_over_one_connection_a_thread(s3):
    """Whatever their names; each with one request."""
    get = small(s3.url)
    items = [put(s3, name) for name in ("a", "b c+d%20e", "ü/ö//x", "~!*'()", "-_.")]
    for item in items:
        assert get.get(item) == s3.objects[f"trail/{item.key}"]
    assert len(s3.requests) == len(items)
    assert len(get._local.connections) == 1


def test_many_threads_may_get_at_once(s3):
    """Each has a connection of its own."""
    get = small(s3.url)
    items = [put(s3, f"k{n}") for n in range(200)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(get.get, items)) == [s3.objects[f"trail/{item.key}"] for item in items]


@pytest.mark.parametrize("kind", ["denied", "missing", "archived", "slow-down", "kms"])
def test_refusals_are_left_to_boto3(s3, kind):
    """It knows their meanings, and how long to wait."""
    item = put(s3, "a")
    get = small(s3.url)
    fault(s3, item, kind)
    assert get.get(item) is None
    assert get.get(item) == s3.objects["trail/a"]


@pytest.mark.parametrize("kind", ["reset", "truncate"])
@pytest.mark.parametrize("after", [0, 500])
def test_a_broken_answer_is_no_answer(s3, kind, after):
    """A new connection gets no second chance of its own; boto3 does."""
    item = put(s3, "a")
    fault(s3, item, kind, after=after)
    assert small(s3.url).get(item) is None


def test_a_kept_connection_may_have_been_closed(s3):
    """Servers close idle ones: a new one is tried before boto3 is."""
    item = put(s3, "a")
    get = small(s3.url)
    assert get.get(item)
    fault(s3, item, "reset")
    assert get.get(item) == s3.objects["trail/a"]


def test_after_many_refusals_of_a_bucket_boto3_is_asked_at_once(s3):
    """Such as a bucket in another region, which would answer each request twice."""
    get = small(s3.url)
    lost = S3Object("elsewhere", "a", 1, "x", 0.0)
    for _ in range(30):
        assert get.get(lost) is None
    asked = len(s3.requests)
    assert asked < 30
    assert get.get(lost) is None
    assert len(s3.requests) == asked
    assert get.get(put(s3, "a")), "other buckets are served still"


def test_larger_objects_than_expected_are_not_held_in_memory(s3, client):
    """A message may lie about sizes: what is larger is streamed."""
    item = put(s3, "big", 9_000_000)
    liar = S3Object(item.bucket, item.key, 5, "x", 0.0)
    get = small(s3.url)
    assert get.get(liar) is None
    reader = S3Reader(client, small=get)
    pieces: list[int] = []
    for payload in reader.open(S3Split("id", "trail", "scope", "cloudtrail", (liar,))):
        assert isinstance(payload, Payload)
        pieces += [len(chunk) for chunk in payload.chunks]
    reader.close()
    assert sum(pieces) == 9_000_000
    assert max(pieces) <= 1_048_576


def test_the_reader_asks_it_first_and_boto3_for_the_rest(s3, client):
    """One request for what is there; refusals as boto3 tells them."""
    there, refused = put(s3, "a"), put(s3, "b")
    s3.forbidden.add("trail/b")
    reader = S3Reader(client, small=small(s3.url))
    first, second = reader.open(S3Split("id", "trail", "scope", "cloudtrail", (there, refused)))
    reader.close()
    assert isinstance(first, Payload)
    assert b"".join(first.chunks) == s3.objects["trail/a"]
    assert isinstance(second, tuple)
    assert isinstance(second[1], UnreadableError)
    assert [path for path, _ in s3.requests].count("trail/a") == 1


def test_without_credentials_boto3_is_asked(s3):
    """It says what is missing."""

    def none() -> None:
        raise NoCredentialsError

    item = put(s3, "a")
    assert small(s3.url, credentials=lambda: None).get(item) is None
    assert small(s3.url, credentials=none).get(item) is None
    assert s3.requests == []


@pytest.mark.parametrize("bucket", ["arn:aws:s3:us-east-1:111122223333:accesspoint/logs", "my.bucket"])
def test_buckets_with_hosts_of_their_own_are_left_to_boto3(s3, bucket):
    """Access points, and names that no certificate fits."""
    assert small(s3.url, by_path=False).get(S3Object(bucket, "a", 1, "x", 0.0)) is None


def test_a_proxy_is_left_to_boto3(s3, monkeypatch):
    """It knows how to speak to one."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert small(s3.url).get(put(s3, "a")) is None
    assert s3.requests == []


ANSWERS = {
    "no HTTP": b"hello\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\n\r\nabc",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: three\r\n\r\nabc",
    "headers without end": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"Content-Length: 3\r\n\r\nabc",
    "a redirect": b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_any_other_answer_is_left_to_boto3(answer):
    """Nothing is guessed at."""
    with a_server(lambda _: answer) as (url, _):
        assert small(url).get(S3Object("trail", "a", 3, "x", 0.0)) is None


def test_an_answer_that_closes_the_connection_is_taken(aws_environment):
    """And the next request opens another one."""
    with a_server(lambda _: b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc") as (url, requests):
        get = small(url, expected_owner="111122223333")
        item = S3Object("trail", "a b", 3, "x", 0.0, "v/1")
        assert [get.get(item), get.get(item)] == [b"abc", b"abc"]
    assert requests[0].startswith(b"GET /trail/a%20b?versionId=v%2F1 HTTP/1.1\r\n")
    assert b"\r\nx-amz-expected-bucket-owner: 111122223333\r\n" in requests[0]


class a_server:  # noqa: N801 - reads as a sentence where it is used
    """Gives one answer a connection, and notes the requests."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self._requests: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> tuple[str, list[bytes]]:
        self._thread.start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}", self._requests

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self._requests.append(connection.recv(65_536))
                connection.sendall(self._answer(self._requests[-1]))
