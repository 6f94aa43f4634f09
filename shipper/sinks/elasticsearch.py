"""Delivers documents into Elasticsearch data streams (8.x, 9.x, OpenSearch), one attempt at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import msgspec
import structlog
from isal import isal_zlib

from shipper.errors import ConfigError, RetryableError
from shipper.metrics import Metrics
from shipper.model import Document, Problem, SendResult, Split
from shipper.ports import Clock, SchemaName, wall_clock
from shipper.sinks.elasticsearch_again import Again
from shipper.sinks.elasticsearch_bulk import FILTER, bulk_body, read_answer
from shipper.sinks.elasticsearch_conflicts import conflict, without_conflict
from shipper.sinks.elasticsearch_connection import Access, Answer, Connection
from shipper.sinks.elasticsearch_delivery import ElasticsearchDelivery, placed
from shipper.sinks.elasticsearch_probes import HINT, NotAllowedError, hint_for
from shipper.sinks.elasticsearch_recount import ElasticsearchRecount
from shipper.sinks.elasticsearch_setup import Setup

_GZIP = 31  # zlib's number for a gzip header and trailer around a window of 32 kB
_REQUIRE = "&require_data_stream=true"

log = structlog.get_logger(__name__)


class ElasticsearchSink:
    """A cluster as a sink: `_bulk` create into data streams, results by position, no retry of its own.

    Document ids are the caller's, so that sending again what is there already changes nothing (409 → present). That
    holds within a backing index; what may have been shipped before a rollover is looked for before it is sent (see
    elasticsearch_again). With `strict` documents go into plain indices named by the events' own days instead: no
    rollover, nothing to look for.

    Args:
        name: as in the configuration.
        hosts: URLs; requests go round, nodes that fail rest.
        api_key, bearer_auth, basic_auth, cloud_id, ca_certs, client_cert, client_key, ssl_assert_fingerprint,
            verify_certs: as the official client has them.
        proxy: URL of an HTTP proxy.
        proxy_auth: user name and password at the proxy.
        namespace: the data streams' last part.
        strict: plain indices by day, see above.
        audit_apart: Kubernetes audit events go to a data stream of their own, which the credentials must allow.
        repair: send a document that was refused for a field's type once more, with that field under `unmapped`.
        request_timeout_seconds: for one request; when it passes, what the server did is unknown and all is sent again.
        batch_bytes, batch_documents: limits of one request. Elasticsearch takes 100 MB at most
            (`http.max_content_length`), and is fastest with 5 to 15 MB.
        compression: gzip level, 1 to 3 of ISA-L, or 0 for plain text. None is 1, or 0 where all hosts are this machine
            (measured for 1,000 documents of 3.8 kB: level 1 costs 2.7 µs each and leaves a fifth; 2 gains 2 % more).
        metrics: counts what went into failure stores, and what could not be looked for.
        clock: says when documents are sent.
    """

    schema: SchemaName = "ecs"

    def __init__(
        self,
        name: str,
        hosts: Sequence[str] = (),
        *,
        api_key: str | None = None,
        basic_auth: tuple[str, str] | None = None,
        bearer_auth: str | None = None,
        cloud_id: str | None = None,
        ca_certs: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        ssl_assert_fingerprint: str | None = None,
        verify_certs: bool = True,
        proxy: str | None = None,
        proxy_auth: tuple[str, str] | None = None,
        namespace: str = "default",
        strict: bool = False,
        audit_apart: bool = True,
        repair: bool = False,
        request_timeout_seconds: float = 60.0,
        batch_bytes: int = 5_000_000,
        batch_documents: int = 5000,
        compression: int | None = None,
        metrics: Metrics | None = None,
        clock: Clock = wall_clock,
    ) -> None:
        self.name = name
        self.batch_bytes = batch_bytes
        self.batch_documents = batch_documents
        self._compression = (0 if _all_local(hosts) and not cloud_id else 1) if compression is None else compression
        self._metrics = metrics
        self._clock = clock
        self._strict = strict
        self._repair = repair
        self._require_data_stream = not strict
        access = Access(
            hosts=hosts,
            cloud_id=cloud_id,
            api_key=api_key,
            basic_auth=basic_auth,
            bearer_auth=bearer_auth,
            ca_certs=ca_certs,
            client_cert=client_cert,
            client_key=client_key,
            ssl_assert_fingerprint=ssl_assert_fingerprint,
            verify_certs=verify_certs,
            request_timeout_seconds=request_timeout_seconds,
            proxy=proxy,
            proxy_auth=proxy_auth,
        )
        self._connection = Connection(access)
        self._setup = Setup(self._connection, namespace, strict=strict, audit_apart=audit_apart)
        self._again = Again(self._connection, name, metrics, clock)

    def prepare(self) -> None:
        """Install the templates that are missing or old, where the credentials allow it; say so where they do not.

        Raises:
            RetryableError: the cluster is not reachable yet, or refuses the credentials.
            ConfigError: hosts or certificates cannot be used.
        """
        try:
            for line in self.install_templates():
                log.info("templates", sink=self.name, did=line)
        except NotAllowedError as error:
            log.warning("templates are not installed", sink=self.name, why=str(error), hint=HINT)

    def install_templates(self) -> list[str]:
        """Install what is missing or older than this program, and return a line for each thing done.

        Raises:
            RetryableError: the cluster is not reachable, or refuses the credentials.
            ConfigError: hosts or certificates cannot be used, or the cluster refuses a template
                (NotAllowedError: the credentials do not allow it).
        """
        return self._setup.install()

    def open(self, split: Split) -> ElasticsearchDelivery:
        """Begin a delivery; holds nothing that must be given back."""
        return ElasticsearchDelivery(
            self, maybe_shipped=split.maybe_shipped and not self._strict, oldest=split.oldest, clock=self._clock
        )

    def locate(self, document_id: str) -> list[dict[str, Any]]:
        """Where a document is stored and where it came from; see `Setup.locate`."""
        return self._setup.locate(document_id)

    def recount(self) -> ElasticsearchRecount:
        """What counts the documents that the cluster holds."""
        return ElasticsearchRecount(self._connection, self._setup.names)

    def role(self) -> dict[str, Any]:
        """The role that delivering needs, as a body for `PUT /_security/role/<name>`."""
        return self._setup.role()

    def setup_role(self) -> dict[str, Any]:
        """The role that installing templates needs."""
        return self._setup.setup_role()

    def held(self, documents: Sequence[Document], since: float) -> set[str]:
        """Return the ids of those that are stored; see `Again.held`. Strict indices tell by their answers."""
        return set() if self._strict else self._again.held(documents, since)

    def send(self, documents: Sequence[Document]) -> SendResult:
        """Send one batch, once. See `ports.Delivery.send`."""
        result = self._attempt(documents)
        return self._repaired(documents, result) if self._repair and result.rejected else result

    def _attempt(self, documents: Sequence[Document]) -> SendResult:
        plain = bulk_body(documents, strict=self._strict, sent=self._clock())
        required = self._require_data_stream  # read once: another thread may learn meanwhile
        answer = self._post(plain, require_data_stream=required)
        if required and answer.status == 400 and b"require_data_stream" in answer.body:
            self._require_data_stream = False  # before Elasticsearch 8.13, and OpenSearch
            answer = self._post(plain, require_data_stream=False)
        outcome = read_answer(answer, documents, len(plain))
        if outcome.failure_store:
            self._count_failure_store(outcome.failure_store)
        return outcome.result

    def problems(self) -> Iterable[Problem]:
        """Try connection, credentials, version and templates, changing nothing."""
        where = f"sinks.{self.name}"
        try:
            yield from self._setup.problems(where)
            if not self._strict:
                yield from self._again.problems(where, self._setup.names)
        except ConfigError as error:
            yield Problem(where, str(error), error.hint)
        except RetryableError as error:
            yield Problem(where, str(error), hint_for(error))

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def _repaired(self, documents: Sequence[Document], result: SendResult) -> SendResult:
        """Send what was refused for a field's type once more, without that field.

        Where nothing is known of this second attempt the documents are sent again as they were, are refused, and come
        here again: their ids stay, so that nothing is stored twice.
        """
        mended: dict[int, Document] = {}
        for refused in result.rejected:
            found = None if refused.stored else conflict(refused.answer)
            body = without_conflict(documents[refused.position].body, found) if found else None
            if body is not None:
                mended[refused.position] = msgspec.structs.replace(documents[refused.position], body=body)
        if not mended:
            return result
        positions = list(mended)
        try:
            second = self._attempt(list(mended.values()))
        except RetryableError as error:
            second = SendResult(0, retry=tuple(range(len(mended))), retry_reason=str(error), paused=error.paused)
        return replace(
            result,
            repaired=second.delivered,
            present=result.present + second.present,
            rejected=(*(r for r in result.rejected if r.position not in mended), *placed(second.rejected, positions)),
            retry=tuple(sorted([*result.retry, *(positions[i] for i in second.retry)])),
            retry_reason=result.retry_reason or second.retry_reason,
            paused=result.paused or second.paused,
            faults=(*result.faults, *placed(second.faults, positions)),
        )

    def _post(self, plain: bytes, *, require_data_stream: bool) -> Answer:
        path = f"/_bulk?{FILTER}{_REQUIRE if require_data_stream else ''}"
        if self._compression == 0:
            return self._connection.request("POST", path, plain, content_type="application/x-ndjson")
        packed = isal_zlib.compress(plain, self._compression, _GZIP)
        return self._connection.request(
            "POST", path, packed, content_type="application/x-ndjson", content_encoding="gzip"
        )

    def _count_failure_store(self, count: int) -> None:
        if self._metrics:
            self._metrics.failure_store.labels(self.name).inc(count)
        log.error(
            "documents went into the failure store",
            sink=self.name,
            documents=count,
            hint="a pipeline or mapping failed them: see the data stream's ::failures; each is a dead letter here too",
        )


def _all_local(hosts: Sequence[str]) -> bool:
    return all(urlsplit(host).hostname in ("localhost", "127.0.0.1", "::1") for host in hosts)
