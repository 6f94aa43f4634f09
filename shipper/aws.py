"""How AWS is reached: sessions, clients, roles that renew for ever, and what each of its errors means for us."""

from __future__ import annotations

import gzip
import ipaddress
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.config
import botocore.credentials
import botocore.exceptions
import botocore.loaders
import botocore.parsers
import botocore.session
import botocore.utils
import orjson

from shipper import __version__
from shipper.aws_remedies import CREDENTIAL_ERRORS, remedy_of
from shipper.aws_tls import require_tls_1_2
from shipper.errors import ConfigError, RetryableError, UnreadableError, UnreadableKind

ROLE_SESSION_NAME = "shipper"
_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_ATTEMPTS = 4

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html and the common errors of the query services.
_THROTTLING = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_DENIED = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "Forbidden",
        "UnauthorizedOperation",
    }
)
_UNREADABLE: Mapping[str, UnreadableKind] = {
    "404": "missing",
    "NoSuchKey": "missing",
    "NoSuchVersion": "missing",
    "InvalidObjectState": "archived",
    **dict.fromkeys(_DENIED, "forbidden"),
}
AWS_ERRORS = (
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
    botocore.parsers.ResponseParserError,
)
"""What a call of boto3 may raise; the last for an answer that is not AWS's at all, such as a proxy's page."""
# Where the API's name and the permission's name differ:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
_PERMISSIONS = {
    "ListObjectsV2": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
    "GetObject": "s3:GetObject",
    "AssumeRole": "sts:AssumeRole",
    "GetRole": "iam:GetRole",
    "GetUser": "iam:GetUser",
    "DescribeNetworkInterfaces": "ec2:DescribeNetworkInterfaces",
    "DescribeInstances": "ec2:DescribeInstances",
    "ReceiveMessage": "sqs:ReceiveMessage",
    "DeleteMessageBatch": "sqs:DeleteMessage",
    "ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "GetQueueAttributes": "sqs:GetQueueAttributes",
    "FilterLogEvents": "logs:FilterLogEvents",
    "DescribeLogGroups": "logs:DescribeLogGroups",
    "GetBucketTagging": "s3:GetBucketTagging",
    "ListTagsForResource": "logs:ListTagsForResource",
}
# Services whose callers pace themselves: a retry inside botocore would be a call that nobody counts.
_SINGLE_ATTEMPT = frozenset({"logs"})
_ONE_ATTEMPT = botocore.config.Config(retries={"total_max_attempts": 1, "mode": "standard"})


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """How one source reaches AWS; what is None comes from the usual AWS environment and files.

    Attributes:
        external_id: sent with `role_arn` only; kept out of representations.
        endpoint_url: another server that speaks AWS's API; buckets are then addressed by path.
        allow_insecure_http: allow a plain-http endpoint beyond this machine.
    """

    region: str | None = None
    profile: str | None = None
    role_arn: str | None = None
    external_id: str | None = field(default=None, repr=False)
    endpoint_url: str | None = None
    allow_insecure_http: bool = False


class AwsSessions:
    """Makes clients that share one set of credentials. Safe to use from many threads.

    Args:
        threads: how many threads use a client at once; its connection pool is larger.

    Raises:
        ConfigError: the profile does not exist, or the endpoint is plain http beyond this machine.
    """

    def __init__(self, settings: AwsSettings, *, threads: int = 8) -> None:
        _check_endpoint(settings)
        require_tls_1_2()
        self._settings = settings
        self._config = botocore.config.Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
            max_pool_connections=2 * threads + 4,
            user_agent_extra=f"shipper/{__version__}",
            tcp_keepalive=True,
            s3={"addressing_style": "path"} if settings.endpoint_url else None,
            # Other servers of S3's API lack newer checksums; ours is the length, and gzip's own.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        self._mutex = threading.Lock()
        self._clients: dict[tuple[str, str | None, str | None], Any] = {}
        base = _session(settings)
        self._session = base if settings.role_arn is None else self._assumed(base, settings.role_arn)

    def client(self, service: str, region: str | None = None, endpoint_url: str | None = None) -> Any:
        """Return the boto client of a service, the same for every call; contacts nothing.

        Args:
            endpoint_url: where this service is; the settings' own by default.

        Raises:
            ConfigError: no region is known, or the endpoint is plain http beyond this machine.
        """
        if endpoint_url is not None:
            _check_endpoint(replace(self._settings, endpoint_url=endpoint_url))
        with self._mutex:
            known = self._clients.get((service, region, endpoint_url))
            if known is None:
                known = self._create(self._session, service, region, endpoint_url)
                self._clients[service, region, endpoint_url] = known
            return known

    def forget(self, service: str, region: str | None = None) -> None:
        """Close a client that is not needed for long: EC2's takes more than a megabyte. No thread may be using it."""
        with self._mutex:
            known = self._clients.pop((service, region, None), None)
        if known is not None:
            known.close()

    def credentials(self) -> Any:
        """Return botocore's frozen credentials that are valid now, renewed where it is time; None where there are none.

        May block on the network. Raises botocore's errors.
        """
        with self._mutex:
            found = self._session.get_credentials()
        return None if found is None else found.get_frozen_credentials()

    @property
    def certificates(self) -> str | None:
        """A PEM file of authorities to trust instead of the usual ones, as botocore's settings name it."""
        named = self._session.get_config_variable("ca_bundle")
        return named if isinstance(named, str) else None

    def _create(
        self,
        session: botocore.session.Session,
        service: str,
        region: str | None = None,
        endpoint_url: str | None = None,
        **keys: Any,
    ) -> Any:
        try:
            return session.create_client(
                service,
                region_name=region or self._settings.region,
                endpoint_url=endpoint_url or self._settings.endpoint_url,
                config=self._config.merge(_ONE_ATTEMPT) if service in _SINGLE_ATTEMPT else self._config,
                **keys,
            )
        except botocore.exceptions.NoRegionError as error:
            raise ConfigError("no AWS region is known", "set aws.region, or AWS_REGION") from error
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            found = remedy_of(error)
            hint = found.remedy if found else "look at the aws section"
            raise ConfigError(f"cannot use AWS as configured: {error}", hint) from error

    def _assumed(self, base: botocore.session.Session, role_arn: str) -> botocore.session.Session:
        """A session whose credentials are the role's, renewed by botocore before they expire, for ever."""
        extra = {"RoleSessionName": ROLE_SESSION_NAME}
        if self._settings.external_id is not None:
            extra["ExternalId"] = self._settings.external_id

        def fetch() -> dict[str, Any]:
            # Looked up when first needed: it may ask the instance's metadata service.
            own = base.get_credentials()
            if own is None:
                raise botocore.exceptions.NoCredentialsError
            fetcher = botocore.credentials.AssumeRoleCredentialFetcher(
                client_creator=lambda service, **keys: self._create(base, service, **keys),
                source_credentials=own,
                role_arn=role_arn,
                extra_args=extra,
            )
            return fetcher.fetch_credentials()

        session = _session(self._settings)
        # botocore has no public way to hand over credentials that renew themselves.
        session._credentials = botocore.credentials.DeferredRefreshableCredentials(  # type: ignore[attr-defined]  # noqa: SLF001
            method="assume-role", refresh_using=fetch
        )
        return session


def _session(settings: AwsSettings) -> botocore.session.Session:
    session = botocore.session.Session(profile=settings.profile)
    try:
        session.get_scoped_config()
    except botocore.exceptions.BotoCoreError as error:
        found = remedy_of(error)
        cause = f"{found.cause}: {error}" if found else str(error)
        raise ConfigError(cause, found.remedy if found else "look at the aws section") from error
    session.get_component("data_loader").file_loader = _MODELS
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
    return session


class _Models(botocore.loaders.JSONFileLoader):
    """Reads botocore's descriptions of services in a fraction of its own loader's time, and each once for all sessions.

    All that sessions do to them is the same each time: they merge extras in, and take the bucket out of S3's paths.
    """

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def load_file(self, file_path: str) -> Any:
        known = self._known.get(file_path)
        if known is None:
            known = self._known[file_path] = self._read(file_path)
        return known

    def _read(self, file_path: str) -> Any:
        for path, unpack in ((Path(f"{file_path}.json"), bytes), (Path(f"{file_path}.json.gz"), gzip.decompress)):
            if path.is_file():
                return orjson.loads(unpack(path.read_bytes()))
        return None


_MODELS = _Models()


def _timestamp(value: Any) -> datetime:
    """A time in an answer. Listings have one for each object, always in this form, and botocore takes 40 µs for it."""
    if isinstance(value, str) and len(value) == len("2026-01-01T00:00:00.000Z") and value[-1] == "Z":
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    found: datetime = botocore.utils.parse_timestamp(value)
    return found


def _check_endpoint(settings: AwsSettings) -> None:
    if settings.endpoint_url is None:
        return
    url = urlsplit(settings.endpoint_url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(f"the endpoint {settings.endpoint_url!r} is no http(s) address")
    if url.scheme == "http" and not settings.allow_insecure_http and not _is_loopback(url.hostname):
        raise ConfigError(
            f"the endpoint {settings.endpoint_url!r} goes to {url.hostname} without encryption",
            "use https, or set aws.allow_insecure_http: true",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def classify(error: Exception, *, service: str | None = None) -> RetryableError | UnreadableError:
    """Say what an error of botocore means; the message keeps the server's own words and names what is missing.

    Args:
        error: a botocore exception, or any exception of a connection that breaks while a body is read.
        service: whose permission it is, where several services have calls of one name.

    Returns:
        UnreadableError where one object of GetObject is missing, forbidden or archived, and otherwise RetryableError:
        `paused` where a person has to act.
    """
    if isinstance(error, botocore.exceptions.ClientError):
        return _classify_answer(error, service)
    found = remedy_of(error)
    if found is None:
        return RetryableError(f"AWS cannot be reached: {error or type(error).__name__}")
    paused = isinstance(error, (*CREDENTIAL_ERRORS, botocore.exceptions.SSLError))
    return RetryableError(f"{found.cause}: {error}", paused=paused, hint=found.remedy)


def as_retryable(error: Exception, *, service: str | None = None) -> RetryableError:
    """Return what an error of botocore means for a call that is about no single object; see `classify`."""
    meaning = classify(error, service=service)
    if isinstance(meaning, RetryableError):
        return meaning
    return RetryableError(str(meaning), hint=meaning.hint, denied=meaning.kind == "forbidden")


def answered(answer: Mapping[str, Any], *keys: str) -> None:
    """Make sure that an answer is AWS's: botocore takes a proxy's page with status 200 for one without any content.

    Args:
        keys: of what AWS always sends; one of them is enough.

    Raises:
        ResponseParserError: none of it is there.
    """
    if not any(key in answer for key in keys):
        raise botocore.parsers.ResponseParserError("the answer is not AWS's: is there a proxy in the way?")


def is_throttling(error: Exception) -> bool:
    """Whether AWS refused a call for coming too soon."""
    return isinstance(error, botocore.exceptions.ClientError) and (
        str(error.response.get("Error", {}).get("Code", "")) in _THROTTLING
        or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 429
    )


def _classify_answer(error: botocore.exceptions.ClientError, service: str | None) -> RetryableError | UnreadableError:
    answer: Mapping[str, Any] = error.response
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    message = _words(error, code, service)
    if code in _THROTTLING or status in (429, 503):
        return RetryableError(message, _retry_after(answer))
    if (found := remedy_of(error)) is not None:
        return RetryableError(f"{found.cause}: {message}", paused=True, hint=found.remedy)
    if error.operation_name in ("GetObject", "HeadObject"):
        kind = "forbidden" if code.startswith("KMS.") else _UNREADABLE.get(code)
        if kind is not None:
            return UnreadableError(message, kind)
    denied = code in _DENIED
    return RetryableError(message, _retry_after(answer), paused=denied or 400 <= status < 500, denied=denied)


def _words(error: botocore.exceptions.ClientError, code: str, service: str | None) -> str:
    operation = error.operation_name
    if code not in _DENIED:
        return str(error)
    permission = f"{service}:{operation}" if service else _PERMISSIONS.get(operation, operation)
    if operation == "GetObject" and "kms" in str(error).lower():
        permission = "kms:Decrypt"
    return f"{error} (needs {permission})"


def _retry_after(answer: Mapping[str, Any]) -> float | None:
    text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    return float(text) if text.isdigit() else None
