"""Splunk's HTTP Event Collector as a sink: batches of complete envelopes, one attempt each.

Splunk does not recognise an event that it has: what is sent again after an ambiguous answer can stand twice, under the
same `event_uid`.
"""

from __future__ import annotations

from collections.abc import Iterable

from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import Problem, Split
from shipper.ports import Delivery, SchemaName, Stop
from shipper.sinks.splunk_hec_acks import ACK_PATH, AckedDelivery, AckPolicy
from shipper.sinks.splunk_hec_answers import Meaning, acknowledged, understand
from shipper.sinks.splunk_hec_connection import HecServers, Link, Links
from shipper.sinks.splunk_hec_delivery import Poster, SplunkHecDelivery
from shipper.sinks.splunk_hec_requests import PATHS, Endpoint

_HEALTH = "/services/collector/health"
_NO_DATA = 5


class SplunkHecSink:
    """Implements `ports.Sink` over one or more collectors; batches go round those that work.

    Args:
        endpoint: "event" takes envelopes; "raw" takes bare events, which Splunk's own props take apart, without
            indexed fields.
        ack: how indexer acknowledgement is awaited; None where what was received counts as delivered.
        batch_bytes: Splunk Cloud documents 1 MB as the most for one request, uncompressed.
        stop: ends the waiting for acknowledgements.
    """

    schema: SchemaName = "splunk"

    def __init__(
        self,
        name: str,
        servers: HecServers,
        *,
        endpoint: Endpoint = "event",
        ack: AckPolicy | None = None,
        batch_bytes: int = 900_000,
        batch_documents: int = 5000,
        metrics: Metrics | None = None,
        stop: Stop | None = None,
    ) -> None:
        self.name = name
        self.batch_bytes = batch_bytes
        self.batch_documents = batch_documents
        metrics = metrics or Metrics()
        self._links = Links(name, servers, metrics)
        self._poster = Poster(name, self._links, endpoint, metrics)
        self._endpoint = endpoint
        self._ack = ack
        self._stop = stop or Stop()

    def prepare(self) -> None:
        """Nothing has to be installed; an unreachable collector shows at the first batch."""

    def open(self, split: Split) -> Delivery:  # noqa: ARG002 - every split goes the same way
        """Begin a split's delivery."""
        if self._ack is None:
            return SplunkHecDelivery(self._poster)
        return AckedDelivery(self._poster, self._ack, self._stop)

    def problems(self) -> Iterable[Problem]:
        """Ask each collector for its health, the token and acknowledgement, without sending an event."""
        where = f"sinks.{self.name}"
        for url in self._links.urls:
            try:
                yield from self._problems_of(self._links.to(url), where)
            except RetryableError as error:
                yield Problem(where, str(error), "check the URL, the network and the certificates")
        if self._ack is None:
            yield Problem(
                where,
                "success means that Splunk received the events, not yet that it indexed them",
                "this is how HEC works without indexer acknowledgement; with it, set ack: true",
                serious=False,
            )

    def close(self) -> None:
        """Close all connections."""
        self._links.close()

    def _problems_of(self, link: Link, where: str) -> Iterable[Problem]:
        health = understand(*link.request("GET", _HEALTH)[:2])
        if health.status != 200:
            hint = health.hint or "look at the server's queues"
            yield Problem(where, f"{link.url} is not healthy: {health.words}", hint, serious=False)
        channel = {"X-Splunk-Request-Channel": link.channel.guid}
        # An empty request is answered "No data" where the token is good.
        token = understand(*link.request("POST", PATHS[self._endpoint], b"", headers=channel)[:2])
        if token.meaning is not Meaning.EVENT or token.code != _NO_DATA:
            hint = token.hint or "is this the URL of an HTTP Event Collector, usually port 8088?"
            yield Problem(where, f"{link.url} does not accept the token: {token.words}", hint)
            return
        status, body, _ = link.request("POST", ACK_PATH, b'{"acks":[0]}', headers=channel)
        on = acknowledged(status, body) is not None
        if self._ack is not None and not on:
            answer = understand(status, body)
            yield Problem(where, f"{link.url} does not acknowledge: {answer.words}", answer.hint or "set ack: false")
        if self._ack is None and on:
            yield Problem(
                where,
                f"the token asks for indexer acknowledgement, which ack: false does without ({link.url})",
                "set ack: true, or disable acknowledgement for this token",
            )
