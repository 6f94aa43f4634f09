"""Every metric's name, in one typed place."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from shipper import __version__
from shipper.model import Receipt

_LATENESS_SECONDS = (1, 5, 15, 60, 150, 300, 900, 3600, 7200, 21_600, 54_000, 86_400, 604_800, 1_209_600)
_SEND_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LAG_SECONDS = (5, 15, 30, 60, 120, 300, 600, 1800, 3600, 21_600, 86_400, 604_800)


class Metrics:
    """The process's metrics. Safe to use from any thread.

    Args:
        registry: where they are registered; one of its own for each test.
        clock: seconds since the epoch.
    """

    def __init__(self, registry: CollectorRegistry | None = None, clock: Callable[[], float] = time.time) -> None:
        self.registry = registry or CollectorRegistry()
        self._clock = clock
        by_source, by_both, by_sink = ["source"], ["source", "sink"], ["sink"]
        counter, gauge = self._counter, self._gauge
        self.events_read = counter("shipper_events_read", "Records read from a source.", by_source)
        self.bytes_read = counter("shipper_read_bytes", "Bytes read from a source, as stored.", by_source)
        self.events_delivered = counter("shipper_events_delivered", "Records newly stored by a sink.", by_both)
        self.events_present = counter("shipper_events_present", "Records that a sink had already.", by_both)
        self.events_filtered = counter("shipper_events_filtered", "Records dropped by a filter.", by_both)
        self.events_dead_lettered = counter(
            "shipper_events_dead_lettered", "Records kept as dead letters instead of being delivered.", by_both
        )
        self.events_repaired = counter(
            "shipper_events_repaired", "Records stored after a part that the sink refused was moved aside.", by_both
        )
        self.bytes_delivered = counter("shipper_delivered_bytes", "Bytes of documents sent, uncompressed.", by_both)
        self.iam_lookups = counter(
            "shipper_iam_lookups", "Look-ups of roles and users in IAM, by how they ended.", ["outcome"]
        )
        self.iam_principals = gauge("shipper_iam_principals", "Roles and users that are remembered.")
        self.sessions_known = gauge("shipper_sessions_known", "Temporary credentials whose origin is remembered.")
        self.interface_listings = counter(
            "shipper_interface_listings",
            "Listings of an account's and region's network interfaces or instances, by how they ended.",
            ["outcome"],
        )
        self.interfaces_known = gauge("shipper_interfaces_known", "Network interfaces that are remembered.")
        self.geoip_reloads = counter(
            "shipper_geoip_reloads", "Replaced GeoIP databases, by whether they could be read.", ["outcome"]
        )
        self.enrich_lookups = counter(
            "shipper_enrich_lookups",
            "Look-ups of accounts and resources, by how they ended.",
            ["lookup", "outcome"],
        )
        self.enrich_known = gauge("shipper_enrich_known", "Accounts and resources that are remembered.", ["lookup"])
        self.enrich_file_reloads = counter(
            "shipper_enrich_file_reloads",
            "Replaced files of enrichment, by whether they could be read.",
            ["file", "outcome"],
        )
        self.indicators_known = gauge("shipper_indicators", "Indicators in the lists that are used.")
        self.values_redacted = counter(
            "shipper_redacted_values", "Values taken out of records, by the rule that took them.", ["rule"]
        )
        self.capture_gaps = counter(
            "shipper_capture_gaps", "Records in which AWS says that it failed to capture some (SKIPDATA).", by_source
        )
        self.events_unparsed = counter(
            "shipper_events_unparsed",
            "Records of none of their log type's forms, shipped as they are.",
            ["source", "logs"],
        )
        self.objects_filtered = counter(
            "shipper_objects_filtered", "Objects left out for what they are.", ["source", "reason"]
        )
        self.objects_unread = counter("shipper_objects_unread", "Objects that could not be opened.", ["source", "kind"])
        self.objects_waiting = gauge(
            "shipper_objects_waiting", "Objects that could not be opened and are tried again.", ["source", "kind"]
        )
        self.messages = counter(
            "shipper_messages", "Messages of a queue, by what became of them.", ["source", "outcome"]
        )
        self.queue_messages = gauge("shipper_queue_messages", "What a queue says of its backlog.", ["source", "state"])
        self.oldest_message = gauge(
            "shipper_oldest_message_seconds", "Age of the oldest message on its way; 0 where there is none.", by_source
        )
        self.heartbeat_errors = counter(
            "shipper_heartbeat_errors", "Failures to keep a queue's messages hidden.", by_source
        )
        self.object_lag = Histogram(
            "shipper_object_lag_seconds",
            "From an object's LastModified to its settling.",
            by_source,
            buckets=_LAG_SECONDS,
            registry=self.registry,
        )
        self.splits_settled = counter("shipper_splits_settled", "Splits delivered and committed.", by_source)
        self.splits_released = counter("shipper_splits_released", "Splits to be shipped again.", by_source)
        self.source_errors = counter("shipper_source_errors", "Failed looks for new data.", by_source)
        self.retries = counter("shipper_send_retries", "Batches sent again.", by_sink)
        self.failure_store = counter(
            "shipper_failure_store_documents", "Documents that Elasticsearch put into a failure store.", by_sink
        )
        self.events_not_looked_up = counter(
            "shipper_events_not_looked_up",
            "Events shipped again that could not be looked for in older backing indices.",
            by_sink,
        )
        self.possible_duplicates = counter(
            "shipper_possible_duplicates", "Events that a sink without ids of its own may hold twice.", by_sink
        )
        self.received_only = counter(
            "shipper_unconfirmed_events",
            "Events that count as delivered as received, although confirmation is asked for: the answer was a refusal.",
            by_sink,
        )
        self.acks_waiting = gauge("shipper_sink_acks_waiting", "Requests whose indexing is not confirmed yet.", by_sink)
        self.sink_endpoint_up = gauge(
            "shipper_sink_endpoint_up", "1 where the endpoint's last answer was as it should be.", ["sink", "endpoint"]
        )
        self.send_seconds = Histogram(
            "shipper_send_seconds",
            "Time that one attempt to send a batch took.",
            by_sink,
            buckets=_SEND_SECONDS,
            registry=self.registry,
        )
        self.aws_calls = counter("shipper_aws_calls", "Calls to CloudWatch Logs.", ["source", "operation"])
        self.aws_throttles = counter("shipper_aws_throttles", "Calls that AWS refused for coming too soon.", by_source)
        self.log_groups = gauge("shipper_log_groups", "Log groups by how they can be read.", ["source", "state"])
        self.late_horizon = gauge(
            "shipper_late_horizon_seconds",
            "Events visible within so many seconds of their own time are read.",
            by_source,
        )
        self.events_reread = counter(
            "shipper_log_events_reread", "Events found again in a window, delivered before.", by_source
        )
        self.late_events_recovered = counter(
            "shipper_late_events_recovered", "Events found in a span that was read before they were visible.", by_source
        )
        self.event_lateness = Histogram(
            "shipper_event_lateness_seconds",
            "From an event's own time to its ingestion by CloudWatch Logs.",
            by_source,
            buckets=_LATENESS_SECONDS,
            registry=self.registry,
        )
        self.in_flight_splits = gauge("shipper_in_flight_splits", "Splits on their way.", by_source)
        self.in_flight_bytes = gauge("shipper_in_flight_bytes", "Estimated memory of the splits on their way.")
        self.unaccounted = gauge("shipper_unaccounted_events", "Records without a known end; always 0.", by_source)
        self.dead_letters = gauge("shipper_dead_letters", "Dead letters kept.")
        self.sink_paused = gauge("shipper_sink_paused", "1 while a sink waits for a person to act.", by_sink)
        self.sink_failing = gauge("shipper_sink_failing", "1 while the last attempt to send failed.", by_sink)
        self.newest_event = gauge(
            "shipper_newest_event_timestamp_seconds", "Time of the newest event delivered everywhere.", by_source
        )
        self.lag = gauge("shipper_lag_seconds", "Now minus the newest event delivered everywhere.", by_source)
        self.oldest_unsettled = gauge(
            "shipper_oldest_unsettled_seconds", "Age of the oldest split on its way; 0 where there is none.", by_source
        )
        Info("shipper_build", "Version of the running program.", registry=self.registry).info({"version": __version__})
        self._newest: dict[str, float] = {}
        self._waiting: dict[tuple[str, str], str] = {}

    def _counter(self, name: str, text: str, labels: list[str]) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: list[str] | None = None) -> Gauge:
        return Gauge(name, text, labels or [], registry=self.registry)

    def waits(self, source: str, part: str, why: str | None) -> None:
        """Note why a part of a source waits while the rest goes on, for /healthz to tell; None when it goes on too."""
        if why is None:
            self._waiting.pop((source, part), None)
        else:
            self._waiting[source, part] = why

    def waiting(self) -> list[str]:
        """What waits, a line each."""
        return [f"{source}: {part}: {why}" for (source, part), why in sorted(self._waiting.copy().items())]

    def settled(self, receipt: Receipt) -> None:
        """Add a settled split's account to the counters."""
        source = receipt.source
        self.splits_settled.labels(source).inc()
        self.events_read.labels(source).inc(receipt.read)
        self.bytes_read.labels(source).inc(receipt.bytes_in)
        self.capture_gaps.labels(source).inc(receipt.gaps)
        if receipt.logs:
            self.events_unparsed.labels(source, receipt.logs).inc(receipt.unparsed)
        for sink, tally in receipt.sinks.items():
            self.events_delivered.labels(source, sink).inc(tally.delivered)
            self.events_present.labels(source, sink).inc(tally.present)
            self.events_filtered.labels(source, sink).inc(tally.filtered)
            self.events_dead_lettered.labels(source, sink).inc(tally.dead_lettered)
            self.events_repaired.labels(source, sink).inc(tally.repaired)
            self.bytes_delivered.labels(source, sink).inc(tally.bytes_out)
        for unread in receipt.unread:
            self.objects_unread.labels(source, unread.kind).inc()
        if receipt.newest_ms is not None:
            self._saw_event(source, receipt.newest_ms / 1000)

    def _saw_event(self, source: str, seconds: float) -> None:
        if seconds > self._newest.get(source, 0.0):
            self._newest[source] = seconds
            self.newest_event.labels(source).set(seconds)
            self.lag.labels(source).set_function(lambda: max(0.0, self._clock() - self._newest[source]))
