"""Requests to one Elasticsearch cluster over the official client's transport: one attempt each, raw bytes back.

`elastic_transport` is what the official client sends with: nodes, TLS, cloud ids, resting of dead nodes. The client on
top of it is bound to one major version (its media type) and refuses OpenSearch (its product check), and it parses each
answer; this speaks plain `application/json` to Elasticsearch 8 and 9 and to OpenSearch alike.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from shipper import __version__
from shipper.errors import ConfigError, RetryableError

if TYPE_CHECKING:
    from elastic_transport import BaseNode, NodeConfig, NodePool

_HINT = "hosts are URLs such as https://es:9200; cloud_id is as Elastic Cloud shows it; certificates are PEM files"
_CONNECTIONS_PER_NODE = 32
_NODE_FAILURES = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said.

    Attributes:
        status: of HTTP.
        retry_after: seconds that it asked to wait for, None where it did not.
        body: as it came.
    """

    status: int
    retry_after: float | None
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as an object; empty where it is none."""
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return value if isinstance(value, dict) else {}

    def error(self) -> tuple[str, str]:
        """The error's type and the server's words; the start of the body where it has no such form."""
        error = self.json().get("error")
        if isinstance(error, dict):
            return str(error.get("type", "")), str(error.get("reason", ""))
        if isinstance(error, str):
            return "", error
        return "", self.body[:200].decode("utf-8", "replace")


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """How to reach a cluster and what to show it. Has no repr, because it holds secrets."""

    hosts: Sequence[str]
    cloud_id: str | None = None
    api_key: str | None = None
    basic_auth: tuple[str, str] | None = None
    bearer_auth: str | None = None
    ca_certs: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    ssl_assert_fingerprint: str | None = None
    verify_certs: bool = True
    request_timeout_seconds: float = 60.0
    proxy: str | None = None
    proxy_auth: tuple[str, str] | None = None


class Connection:
    """The cluster's nodes. Opened at the first request; safe to use from any thread."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._pool: NodePool | None = None

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send one request, once, to the next node that is not known to be down.

        Args:
            path: with its query, such as `/_bulk?filter_path=errors`.
            headers: further ones, `_` for `-`. Content-Type is JSON where they do not say otherwise.

        Raises:
            RetryableError: no answer arrived: whether the server has acted on the request is unknown. `paused` where
                TLS was refused, because a person has to act.
            ConfigError: the hosts or certificates cannot be used.
        """
        pool = self._nodes()
        node = pool.get()
        sent = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        try:
            meta, answer = self._perform(node, method, path, body, sent)
        except RetryableError:
            pool.mark_dead(node)
            raise
        if meta.status in _NODE_FAILURES:
            pool.mark_dead(node)
        else:
            pool.mark_live(node)
        return Answer(meta.status, _seconds(meta.headers.get("retry-after")), answer)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            pool, self._pool = self._pool, None
        for node in pool.all() if pool else ():
            node.close()

    def _perform(
        self, node: BaseNode, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[Any, bytes]:
        from elastic_transport import ConnectionTimeout, HttpHeaders, TlsError, TransportError

        try:
            return node.perform_request(method, path, body=body, headers=HttpHeaders(headers))
        except TlsError as error:
            raise RetryableError(f"TLS to {node.base_url} failed: {_innermost(error)}", paused=True) from error
        except ConnectionTimeout as error:
            seconds = self._access.request_timeout_seconds
            raise RetryableError(f"{node.base_url} did not answer in {seconds:g} s") from error
        except (TransportError, OSError) as error:
            said = f"{node.base_url} cannot be reached, or broke off: {_innermost(error)}"
            raise RetryableError(said) from error

    def _nodes(self) -> NodePool:
        with self._lock:
            if self._pool is None:
                self._pool = self._open()
            return self._pool

    def _open(self) -> NodePool:
        from elastic_transport import NodePool

        # It warns of every failed attempt; delivery says once that a sink does not take documents.
        logging.getLogger("elastic_transport.node_pool").setLevel(logging.ERROR)
        try:
            return NodePool(self._node_configs(), node_class=_node_class(self._access))
        except (ValueError, OSError) as error:
            words = f"Elasticsearch cannot be reached as configured: {error}"
            raise ConfigError(words, _HINT) from error

    def _node_configs(self) -> list[NodeConfig]:
        from elastic_transport.client_utils import parse_cloud_id, url_to_node_config

        access = self._access
        hosts = list(access.hosts)
        if access.cloud_id:
            address = parse_cloud_id(access.cloud_id).es_address
            if address is None:
                raise ValueError("the cloud id names no Elasticsearch")
            hosts.append(f"https://{address[0]}:{address[1]}")
        if not hosts:
            raise ValueError("no host is given")
        options: dict[str, Any] = {
            "headers": self._headers(),
            "connections_per_node": _CONNECTIONS_PER_NODE,
            "request_timeout": access.request_timeout_seconds,
            "http_compress": False,  # what is worth it, the caller compresses
        }
        return [
            url_to_node_config(host, use_default_ports_for_scheme=True).replace(
                **options, **(self._tls() if host.startswith("https:") else {})
            )
            for host in hosts
        ]

    def _headers(self) -> dict[str, str]:
        from elastic_transport.client_utils import basic_auth_to_header

        access = self._access
        headers = {"accept": "application/json", "user-agent": f"aws-log-shipper/{__version__}"}
        if access.api_key:
            headers["authorization"] = f"ApiKey {access.api_key}"
        elif access.bearer_auth:
            headers["authorization"] = f"Bearer {access.bearer_auth}"
        elif access.basic_auth:
            headers["authorization"] = basic_auth_to_header(access.basic_auth)
        return headers

    def _tls(self) -> dict[str, Any]:
        access = self._access
        # Opened here once, because the transport would do it at the first request: a bad file is told at start.
        trial = ssl.create_default_context(cafile=access.ca_certs)
        if access.client_cert:
            trial.load_cert_chain(access.client_cert, access.client_key)
        return {
            "ca_certs": access.ca_certs,
            "client_cert": access.client_cert,
            "client_key": access.client_key,
            "ssl_assert_fingerprint": access.ssl_assert_fingerprint,
            "verify_certs": access.verify_certs,
            "ssl_show_warn": False,  # the configuration asked for it, and says so itself at start
            "ssl_version": ssl.TLSVersion.TLSv1_2,
        }


def _node_class(access: Access) -> Any:
    from elastic_transport import Urllib3HttpNode

    class QuietNode(Urllib3HttpNode):
        """Does not write bodies to the debug log: they are other people's events, and writing them takes time."""

        def __init__(self, config: NodeConfig) -> None:
            super().__init__(config)
            if access.proxy:
                self.pool = _through(
                    access.proxy, access.proxy_auth, self.pool, self.base_url.removesuffix(self.path_prefix)
                )

        def _log_request(self, *_: Any, **__: Any) -> None:
            pass

    return QuietNode


def _through(proxy: str, auth: tuple[str, str] | None, pool: Any, base_url: str) -> Any:
    """The pool's requests by way of a proxy: a tunnel for https (the proxy sees no more than the name), else in full.

    The transport has no proxy of its own, and urllib3's manager cannot be given a pool; so the parts of a pool that
    the manager would set are set here (urllib3.poolmanager.ProxyManager.__init__).
    """
    import urllib3

    shown = urllib3.make_headers(proxy_basic_auth=":".join(auth)) if auth else {}
    manager = urllib3.ProxyManager(
        proxy, proxy_headers=shown, timeout=pool.timeout, maxsize=_CONNECTIONS_PER_NODE, block=True
    )
    if pool.scheme == "https":
        pool.proxy, pool.proxy_config, pool.proxy_headers = manager.proxy, manager.proxy_config, shown
        pool.conn_kw |= {"proxy": manager.proxy, "proxy_config": manager.proxy_config}
        return pool

    class Forwarded:
        """Names the whole address in each request, as plain proxies want it (RFC 9112 §3.2.2)."""

        def urlopen(self, method: str, url: str, *, headers: Mapping[str, str], **options: Any) -> Any:
            # The manager adds an Accept of its own beside one in lower case, and Elasticsearch refuses two.
            named = {name.title(): value for name, value in headers.items()}
            return manager.urlopen(method, base_url + url, headers=named, **options)

        def close(self) -> None:
            manager.clear()

    return Forwarded()


def _innermost(error: BaseException) -> str:
    """The operating system's or the TLS library's own words; what is wrapped around them says no more."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return f"{type(error).__name__}: {error}"


def _seconds(retry_after: str | None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110 §10.2.3); its other form, a date, is not in use here."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else None
