"""The whole configuration: every section, its type, its bounds and its default. Agreement between keys is in rules."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, SecretStr

from shipper.config.enrich import Enrich
from shipper.config.filter_remarks import filter_remarks
from shipper.config.part import Part, Seconds
from shipper.config.redact import Redact
from shipper.config.sinks import SINK_KINDS, ElasticsearchSink, Server, SinkSettings, Tls
from shipper.config.sources import SOURCE_KINDS, AnySource, Aws, CloudWatchLogsSource, S3Source, SourceSettings
from shipper.config.values import FilePath, Listen, Name, is_usual_bucket, loopback
from shipper.model import Problem

KINDS: dict[str, dict[str, type[Part]]] = {"sources": SOURCE_KINDS, "sinks": SINK_KINDS}


class State(Part):
    """Where the daemon remembers what is done."""

    path: FilePath = Field(Path("/var/lib/shipper"), description="Folder of checkpoints, receipts and dead letters.")


class Workers(Part):
    """How much runs at the same time."""

    threads: int = Field(8, ge=1, le=256, description="Splits shipped at the same time.")


class Limits(Part):
    """Bounds on what is read, in decompressed bytes, and on what an object makes."""

    in_flight_bytes: int = Field(134_217_728, ge=1_048_576, description="Most bytes being shipped at the same time.")
    object_bytes: int = Field(536_870_912, ge=1024, description="A larger object is a dead letter.")
    record_bytes: int = Field(1_048_576, ge=1024, le=104_857_600, description="A larger record is a dead letter.")
    object_records: int = Field(10_000_000, ge=1000, description="Of an object with more, the rest is a dead letter.")
    object_made_bytes: int = Field(
        8_589_934_592, ge=1_048_576, description="Of an object whose documents are larger, the rest is a dead letter."
    )
    object_made_ratio: int = Field(
        1_000, ge=10, description="The same for documents so many times as large as the object, from 16 MiB on."
    )
    object_letters: int = Field(1_000, ge=1, description="So many records of an object are dead letters one by one.")


class DeadLetterSettings(Part):
    """What is kept of what could not be shipped."""

    max_bytes: int = Field(1_073_741_824, ge=1_048_576, description="Shipping stops, and loses nothing, when full.")


class Log(Part):
    """The daemon's own log."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity written.")
    format: Literal["auto", "json", "text"] = Field("auto", description="auto: text on a terminal, else JSON.")


class Settings(Part):
    """The whole configuration, complete and checked."""

    state: State = Field(State(), description="Where the daemon remembers what is done.")
    listen: Listen = Field("127.0.0.1:9464", description='Address of /metrics, /healthz and /readyz, or "off".')
    aws: Aws = Field(Aws(), description="How AWS is reached; sources may override it.")
    sources: dict[Name, SourceSettings] = Field(
        min_length=1, description="Where logs come from, by a name of your choice."
    )
    sinks: dict[Name, SinkSettings] = Field(min_length=1, description="Where they go, by a name of your choice.")
    redact: Redact = Field(Redact(), description="What is taken out of records, before any sink.")
    enrich: Enrich = Field(Enrich(), description="What is added to records.")
    workers: Workers = Field(Workers(), description="How much runs at the same time.")
    limits: Limits = Field(Limits(), description="Bounds on what is read and made.")
    dead_letters: DeadLetterSettings = Field(DeadLetterSettings(), description="What could not be shipped.")
    grace_seconds: Seconds = Field(25.0, description="After SIGTERM, time for what is on its way.")
    log: Log = Field(Log(), description="The daemon's own log.")

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port to listen on; None when `listen` is off."""
        if self.listen == "off":
            return None
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    def sinks_of(self, source: str) -> list[str]:
        """Names of the sinks that a source goes to, in the file's order."""
        chosen = self.sources[source].to
        return [name for name in self.sinks if chosen is None or name in chosen]

    def aws_of(self, source: str) -> Aws:
        """The source's AWS settings, laid over the top-level ones."""
        own = self.sources[source].aws
        return self.aws.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})

    def each_role(self) -> Settings:
        """The same with a source of its own, `NAME.ACCOUNT`, for each of a source's `roles`."""
        sources: dict[str, AnySource] = {}
        for name, source in self.sources.items():
            if not isinstance(source, CloudWatchLogsSource) or not source.roles:
                sources[name] = source
                continue
            for role in source.roles:
                aws = source.aws.model_copy(update={"role_arn": role})
                sources[f"{name}.{role.split(':')[4]}"] = source.model_copy(update={"aws": aws, "roles": []})
        return self.model_copy(update={"sources": sources})

    def secret_values(self) -> list[str]:
        """All secrets, for the log to hide."""
        plain = [value.get_secret_value() for value in _secrets(self)]
        pairs = [sink.basic_auth for sink in self.sinks.values() if isinstance(sink, ElasticsearchSink)]
        pairs += [sink.proxy_auth for sink in self.sinks.values() if isinstance(sink, Server)]
        plain += [self.redact.key.decode()] if self.redact.key else []
        return plain + [b64encode(f"{pair[0]}:{pair[1]}".encode()).decode() for pair in pairs if pair]

    def remarks(self) -> list[Problem]:
        """What works, but should not stay so."""
        found = []
        for name, sink in self.sinks.items():
            if isinstance(sink, Tls) and not sink.verify_certs:
                what = "any server that answers is trusted, and gets the credentials"
                found.append(Problem(f"sinks.{name}.verify_certs", what, "set ca_certs instead", serious=False))
            if isinstance(sink, Tls) and sink.allow_insecure_http:
                what = "events and credentials may travel unencrypted"
                found.append(Problem(f"sinks.{name}.allow_insecure_http", what, "use https", serious=False))
        listed = {name: source for name, source in self.sources.items() if isinstance(source, S3Source)}
        for name, source in listed.items():
            if not self.aws_of(name).endpoint_url and not is_usual_bucket(source.bucket):
                what = f"no bucket made since March 2018 has a name such as {source.bucket}"
                found.append(Problem(f"sources.{name}.bucket", what, "look whether it is written so", serious=False))
        if self.address is not None and not loopback(self.address[0]):
            what = "metrics and health can be read from other machines"
            found.append(Problem("listen", what, "keep the port behind a firewall", serious=False))
        return [*found, *filter_remarks(self)]


def _secrets(part: Any) -> Iterator[SecretStr]:
    """Yield every secret of a part of the settings, whatever it belongs to: tokens, external ids, keys of hashes."""
    if isinstance(part, SecretStr):
        yield part
    elif isinstance(part, BaseModel):
        for _, value in part:
            yield from _secrets(value)
    elif isinstance(part, dict | list | tuple):
        for value in part.values() if isinstance(part, dict) else part:
            yield from _secrets(value)
