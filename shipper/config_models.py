"""The settings' shape: every key, its type, its bounds and its default. Agreement between keys is in config_rules."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from shipper.config_values import (
    Account,
    Bucket,
    FilePath,
    Fingerprint,
    Listen,
    Name,
    Namespace,
    Region,
    RoleArn,
    Secret,
    SecretFile,
    Start,
    Text,
    Url,
    loopback,
    start_seconds,
)
from shipper.model import Problem

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Part(BaseModel):
    """A section of the file. A key whose value is null counts as not given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=False)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}


class State(Part):
    """Where the daemon remembers what is done."""

    path: FilePath = Field(Path("/var/lib/shipper"), description="Folder of checkpoints, receipts and dead letters.")


class Aws(Part):
    """How AWS is reached; what is not given comes from the usual AWS environment and files."""

    region: Region | None = Field(None, description="Region of the bucket or service.")
    profile: Text | None = Field(None, description="Profile of the AWS configuration files.")
    role_arn: RoleArn | None = Field(None, description="Role to assume.")
    external_id: Text | None = Field(None, description="External id that the role asks for.")
    endpoint_url: Url | None = Field(None, description="Another S3-compatible server or an emulator.")
    allow_insecure_http: bool = Field(False, description="Allow an http:// endpoint beyond this machine.")


class S3Source(Part):
    """Objects in an S3 bucket, found by listing."""

    type: Literal["s3"]
    bucket: Bucket = Field(description="The bucket's name.")
    prefix: str = Field("", max_length=1024, description="Only keys that begin so.")
    logs: Literal["cloudtrail"] = Field("cloudtrail", description="The log type of the objects.")
    start: Start = Field("-24h", description="What older objects are left out: a date, a time, an age, now, beginning.")
    to: list[Name] | None = Field(None, min_length=1, description="Names of sinks; all when not given.")
    aws: Aws = Field(Aws(), description="Overrides of the top-level aws section for this source.")
    interval_seconds: Seconds = Field(300.0, ge=1, description="Seconds between two listings of the newest keys.")
    expected_bucket_owner: Account | None = Field(None, description="Refuse the bucket if another account owns it.")

    def start_seconds(self, now: float) -> float:
        """When `start` is, in seconds since the epoch; ages count from `now`, "beginning" is 0."""
        return start_seconds(self.start, now)


class _Tls(Part):
    ca_certs: FilePath | None = Field(None, description="PEM file of the authorities to trust.")
    client_cert: FilePath | None = Field(None, description="PEM file of the client's certificate.")
    client_key: FilePath | None = Field(None, description="PEM file of the client's key.")
    verify_certs: bool = Field(True, description="false accepts any certificate: for experiments only.")
    allow_insecure_http: bool = Field(False, description="Allow http:// addresses beyond this machine.")


class ElasticsearchSink(_Tls):
    """Elasticsearch 8.x or 9.x, or OpenSearch."""

    type: Literal["elasticsearch"]
    hosts: list[Url] = Field([], description="Addresses such as https://es:9200.")
    cloud_id: Text | None = Field(None, description="Elastic Cloud's id, instead of hosts.")
    api_key: Secret | None = Field(None, description="Encoded API key.")
    api_key_file: SecretFile = Field(None, description="File that holds the API key.")
    username: Text | None = Field(None, description="User name for basic authentication.")
    password: Secret | None = Field(None, description="Password of that user.")
    password_file: SecretFile = Field(None, description="File that holds the password.")
    bearer_token: Secret | None = Field(None, description="Bearer token.")
    bearer_token_file: SecretFile = Field(None, description="File that holds the bearer token.")
    ssl_assert_fingerprint: Fingerprint | None = Field(None, description="SHA-256 of the server's certificate.")
    data_stream_namespace: Namespace = Field("default", description="Last part of the data streams' names.")
    request_timeout_seconds: Seconds = Field(60.0, description="Longest wait for an answer.")
    batch_bytes: int = Field(5_242_880, ge=65_536, le=94_371_840, description="Most bytes of documents in a request.")
    batch_documents: int = Field(5_000, ge=1, le=50_000, description="Most documents in a request.")

    @property
    def api_key_secret(self) -> str | None:
        """The API key, from whichever key it came."""
        return _plain(self.api_key or self.api_key_file)

    @property
    def basic_auth(self) -> tuple[str, str] | None:
        """User name and password."""
        password = _plain(self.password or self.password_file)
        return (self.username, password) if self.username and password is not None else None

    @property
    def bearer_secret(self) -> str | None:
        """The bearer token, from whichever key it came."""
        return _plain(self.bearer_token or self.bearer_token_file)


class SplunkHecSink(_Tls):
    """Splunk's HTTP Event Collector."""

    type: Literal["splunk_hec"]
    urls: list[Url] = Field(min_length=1, description="Addresses such as https://splunk:8088.")
    token: Secret | None = Field(None, description="HEC token.")
    token_file: SecretFile = Field(None, description="File that holds the HEC token.")
    index: str = Field("", max_length=2048, description="Index; empty leaves it to the token.")
    host: Text | None = Field(None, description="The events' host field.")
    request_timeout_seconds: Seconds = Field(60.0, description="Longest wait for an answer.")
    batch_bytes: int = Field(900_000, ge=10_000, le=838_860_800, description="Most bytes of events in a request.")
    batch_documents: int = Field(5_000, ge=1, le=50_000, description="Most events in a request.")

    @property
    def token_secret(self) -> str:
        """The HEC token, from whichever key it came; empty where secrets were not read."""
        return _plain(self.token or self.token_file) or ""


class ArchiveSink(Part):
    """Compressed files in a folder."""

    type: Literal["archive"]
    path: FilePath = Field(description="Folder of the archive.")


class Geoip(Part):
    """Databases in MaxMind's layout."""

    city: FilePath | None = Field(None, description="City database (.mmdb).")
    asn: FilePath | None = Field(None, description="ASN database (.mmdb).")


class Enrich(Part):
    """What is added to records."""

    geoip: Geoip = Field(Geoip(), description="Geography and network owner of addresses.")


class Workers(Part):
    """How much runs at the same time."""

    threads: int = Field(8, ge=1, le=256, description="Splits shipped at the same time.")


class Limits(Part):
    """Bounds in decompressed bytes."""

    in_flight_bytes: int = Field(134_217_728, ge=1_048_576, description="Most bytes being shipped at the same time.")
    object_bytes: int = Field(536_870_912, ge=1024, description="A larger object is a dead letter.")
    record_bytes: int = Field(1_048_576, ge=1024, le=104_857_600, description="A larger record is a dead letter.")


class DeadLetterSettings(Part):
    """What is kept of what could not be shipped."""

    max_bytes: int = Field(1_073_741_824, ge=1_048_576, description="Shipping stops, and loses nothing, when full.")


class Log(Part):
    """The daemon's own log."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity written.")
    format: Literal["auto", "json", "text"] = Field("auto", description="auto: text on a terminal, else JSON.")


SinkSettings = Annotated[ElasticsearchSink | SplunkHecSink | ArchiveSink, Field(discriminator="type")]
AnySink = ElasticsearchSink | SplunkHecSink | ArchiveSink
AnySource = S3Source
KINDS: dict[str, dict[str, type[Part]]] = {
    "sources": {"s3": S3Source},
    "sinks": {"elasticsearch": ElasticsearchSink, "splunk_hec": SplunkHecSink, "archive": ArchiveSink},
}


class Settings(Part):
    """The whole configuration, complete and checked."""

    state: State = Field(State(), description="Where the daemon remembers what is done.")
    listen: Listen = Field("127.0.0.1:9464", description='Address of /metrics, /healthz and /readyz, or "off".')
    aws: Aws = Field(Aws(), description="How AWS is reached; sources may override it.")
    sources: dict[Name, S3Source] = Field(min_length=1, description="Where logs come from, by a name of your choice.")
    sinks: dict[Name, SinkSettings] = Field(min_length=1, description="Where they go, by a name of your choice.")
    enrich: Enrich = Field(Enrich(), description="What is added to records.")
    workers: Workers = Field(Workers(), description="How much runs at the same time.")
    limits: Limits = Field(Limits(), description="Bounds in decompressed bytes.")
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

    def secret_values(self) -> list[str]:
        """All secrets, for the log to hide."""
        values = (value for sink in self.sinks.values() for _, value in sink)
        plain = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
        pairs = [sink.basic_auth for sink in self.sinks.values() if isinstance(sink, ElasticsearchSink)]
        return plain + [b64encode(f"{pair[0]}:{pair[1]}".encode()).decode() for pair in pairs if pair]

    def remarks(self) -> list[Problem]:
        """What works, but should not stay so."""
        found = []
        for name, sink in self.sinks.items():
            if isinstance(sink, _Tls) and not sink.verify_certs:
                what = "any server that answers is trusted, and gets the credentials"
                found.append(Problem(f"sinks.{name}.verify_certs", what, "set ca_certs instead", serious=False))
            if isinstance(sink, _Tls) and sink.allow_insecure_http:
                what = "events and credentials may travel unencrypted"
                found.append(Problem(f"sinks.{name}.allow_insecure_http", what, "use https", serious=False))
        if self.address is not None and not loopback(self.address[0]):
            what = "metrics and health can be read from other machines"
            found.append(Problem("listen", what, "keep the port behind a firewall", serious=False))
        return found


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
