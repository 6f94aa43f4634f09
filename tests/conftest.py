"""Servers that tests share: started when the first test asks, stopped at the end of the run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import structlog

from shipper.escaping import hide

if TYPE_CHECKING:
    from tests.parts.elasticmq import ElasticMq
    from tests.parts.elasticsearch import ElasticsearchServer
    from tests.parts.moto import Moto
    from tests.parts.opensearch import OpenSearchServer


@pytest.fixture(autouse=True)
def _plain_log() -> Iterator[None]:
    """Commands that ran in this process set the log up for the whole of it; the next test begins as a new process."""
    yield
    structlog.reset_defaults()
    hide(())


@pytest.fixture(autouse=True)
def _no_daemon_left() -> Iterator[None]:
    """A test that fails leaves no process of the program behind; one that passes has ended its own."""
    yield
    if (daemon := sys.modules.get("tests.process.daemon")) is not None:
        daemon.end_all()


@pytest.fixture(scope="session")
def elasticsearch9() -> Iterator[ElasticsearchServer]:
    """Elasticsearch 9, real."""
    from tests.parts.elasticsearch import elasticsearch

    with elasticsearch("9") as server:
        yield server


@pytest.fixture(scope="session")
def elasticsearch8() -> Iterator[ElasticsearchServer]:
    """Elasticsearch 8, real."""
    from tests.parts.elasticsearch import elasticsearch

    with elasticsearch("8") as server:
        yield server


@pytest.fixture(scope="session")
def opensearch() -> Iterator[OpenSearchServer]:
    """OpenSearch 2, real."""
    from tests.parts.opensearch import opensearch

    with opensearch() as server:
        yield server


@pytest.fixture(scope="session", params=["9", "8"])
def elasticsearch_server(request: pytest.FixtureRequest) -> ElasticsearchServer:
    """Both release lines, one after the other."""
    server: ElasticsearchServer = request.getfixturevalue(f"elasticsearch{request.param}")
    return server


@pytest.fixture(scope="session")
def elasticmq() -> Iterator[ElasticMq]:
    """ElasticMQ, which speaks SQS."""
    from tests.parts.elasticmq import elasticmq

    with elasticmq() as server:
        yield server


@pytest.fixture
def moto(aws_environment: None) -> Iterator[Moto]:
    """An empty AWS emulator for one test."""
    from tests.parts.moto import running

    with running() as server:
        yield server


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that nobody honours, and no files or metadata service of this machine."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
