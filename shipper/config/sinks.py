"""Where documents go: the keys of each kind of sink."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shipper.config.part import Part, Seconds, plain
from shipper.config.values import (
    FilePath,
    FilterText,
    Fingerprint,
    LogTypeName,
    Namespace,
    Secret,
    SecretFile,
    Text,
    Url,
)


class Tls(Part):
    """How a server is trusted, and how we show who we are."""

    ca_certs: FilePath | None = Field(None, description="PEM file of the authorities to trust.")
    client_cert: FilePath | None = Field(None, description="PEM file of the client's certificate.")
    client_key: FilePath | None = Field(None, description="PEM file of the client's key.")
    verify_certs: bool = Field(True, description="false accepts any certificate: for experiments only.")
    allow_insecure_http: bool = Field(False, description="Allow http:// addresses beyond this machine.")


class Server(Tls):
    """A server that may refuse documents."""

    pause_above_refused_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="When a larger share of documents is refused alike, wait for a person; 1 never does.",
    )
    proxy: Url | None = Field(None, description="Address of an HTTP proxy.")
    proxy_username: Text | None = Field(None, description="User name at the proxy.")
    proxy_password: Secret | None = Field(None, description="Password of that user.")
    proxy_password_file: SecretFile = Field(None, description="File that holds the proxy's password.")

    @property
    def proxy_auth(self) -> tuple[str, str] | None:
        """User name and password at the proxy."""
        password = plain(self.proxy_password or self.proxy_password_file)
        return (self.proxy_username, password) if self.proxy_username and password is not None else None


class ElasticsearchSink(Server):
    """Elasticsearch 8.x or 9.x, or OpenSearch."""

    type: Literal["elasticsearch"]
    filter: FilterText | None = Field(None, description="Which records this sink gets, as a source's filter.")
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
    mode: Literal["data_stream", "strict"] = Field(
        "data_stream", description="strict: plain indices named by the events' days, without any duplicate."
    )
    repair: bool = Field(
        False, description="Store a document that was refused for a field's type without it: it goes under unmapped."
    )
    data_stream_namespace: Namespace = Field("default", description="Last part of the data streams' names.")
    eks_audit_dataset: Literal["kubernetes.audit_logs", "aws.eks_logs"] = Field(
        "kubernetes.audit_logs",
        description="Where Kubernetes audit events go, and in which form: that of Elastic's kubernetes integration, or "
        "with the other control plane logs of EKS.",
    )
    request_timeout_seconds: Seconds = Field(60.0, description="Longest wait for an answer.")
    batch_bytes: int = Field(5_242_880, ge=65_536, le=94_371_840, description="Most bytes of documents in a request.")
    batch_documents: int = Field(5_000, ge=1, le=50_000, description="Most documents in a request.")

    @property
    def api_key_secret(self) -> str | None:
        """The API key, from whichever key it came."""
        return plain(self.api_key or self.api_key_file)

    @property
    def basic_auth(self) -> tuple[str, str] | None:
        """User name and password."""
        password = plain(self.password or self.password_file)
        return (self.username, password) if self.username and password is not None else None

    @property
    def bearer_secret(self) -> str | None:
        """The bearer token, from whichever key it came."""
        return plain(self.bearer_token or self.bearer_token_file)


class SplunkHecSink(Server):
    """Splunk's HTTP Event Collector."""

    type: Literal["splunk_hec"]
    filter: FilterText | None = Field(None, description="Which records this sink gets, as a source's filter.")
    urls: list[Url] = Field(min_length=1, description="Addresses such as https://splunk:8088.")
    token: Secret | None = Field(None, description="HEC token.")
    token_file: SecretFile = Field(None, description="File that holds the HEC token.")
    index: str = Field("", max_length=2048, description="Index; empty leaves it to the token.")
    indexes: dict[LogTypeName, Text] = Field({}, description="Index by log type, where it is another than index.")
    sourcetypes: dict[LogTypeName, Text] = Field({}, description="Sourcetype by log type, instead of the add-on's.")
    endpoint: Literal["event", "raw"] = Field(
        "event", description="raw sends bare events without indexed fields, for Splunk's own props to take apart."
    )
    ack: bool = Field(False, description="Wait until Splunk has indexed the events; the token must have it enabled.")
    ack_timeout_seconds: Seconds = Field(300.0, description="What is not confirmed by then is sent again.")
    ack_poll_seconds: float = Field(10.0, ge=0.05, le=10.0, description="Longest time between two looks.")
    ack_pending_requests: int = Field(
        32, ge=1, le=1000, description="Requests that one worker may have unconfirmed; then it waits."
    )
    host: Text | None = Field(None, description="The events' host field.")
    search_url: Url | None = Field(None, description="A search head's address such as https://splunk:8089, for audits.")
    search_token: Secret | None = Field(None, description="Authentication token of a user that may search the indexes.")
    search_token_file: SecretFile = Field(None, description="File that holds the token for searches.")
    request_timeout_seconds: Seconds = Field(60.0, description="Longest wait for an answer.")
    batch_bytes: int = Field(900_000, ge=10_000, le=838_860_800, description="Most bytes of events in a request.")
    batch_documents: int = Field(5_000, ge=1, le=50_000, description="Most events in a request.")

    @property
    def token_secret(self) -> str:
        """The HEC token, from whichever key it came; empty where secrets were not read."""
        return plain(self.token or self.token_file) or ""

    @property
    def search_secret(self) -> str:
        """The token for searches, from whichever key it came; empty where secrets were not read."""
        return plain(self.search_token or self.search_token_file) or ""


class ArchiveSink(Part):
    """Compressed files in a folder."""

    type: Literal["archive"]
    filter: FilterText | None = Field(None, description="Which records this sink gets, as a source's filter.")
    path: FilePath = Field(description="Folder of the archive.")


SinkSettings = Annotated[ElasticsearchSink | SplunkHecSink | ArchiveSink, Field(discriminator="type")]
AnySink = ElasticsearchSink | SplunkHecSink | ArchiveSink
SINK_KINDS: dict[str, type[Part]] = {
    "elasticsearch": ElasticsearchSink,
    "splunk_hec": SplunkHecSink,
    "archive": ArchiveSink,
}
