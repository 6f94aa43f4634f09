"""The kinds of single values that settings are made of: addresses, times, paths, secrets, and how each is checked."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, WithJsonSchema

from shipper.errors import ConfigError
from shipper.filters import read_filter
from shipper.flow_layouts import KNOWN_FIELDS, layout_from_log_format

MOST_SECRET_BYTES = 65_536
LONGEST_BUCKET = 63
LogTypeName = Literal[
    "cloudtrail",
    "vpcflow",
    "cloudwatch",
    "ec2",
    "route53_resolver",
    "route53_public",
    "apigateway",
    "rds",
    "containers",
    "eks",
    "elb",
    "s3access",
    "waf",
]
_RELATIVE = re.compile(r"-([0-9]{1,6})([smhdw])")
_ABSOLUTE = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)?)?")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_OLD_BUCKET = re.compile("[A-Z_]")
_DURATION = re.compile(r"([0-9]{1,6})([smhdw])")
_START_FORMS = 'a date "2026-01-01", a time "2026-01-01T08:00:00Z", an age "-24h" or "-7d", "now" or "beginning"'


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What values are read against.

    Attributes:
        folder: relative paths start here: where the configuration file is.
        credentials: systemd's `$CREDENTIALS_DIRECTORY`, where relative secret files are looked for first.
        secrets: false leaves `*_file` secrets unread, for commands that need none.
    """

    folder: Path = field(default_factory=Path.cwd)
    credentials: Path | None = None
    secrets: bool = True


def surroundings(info: ValidationInfo) -> Surroundings:
    """The surroundings given to validation, or the process's own."""
    return info.context if isinstance(info.context, Surroundings) else Surroundings()


def start_seconds(start: str, now: float) -> float:
    """When a `start` value is, in seconds since the epoch; "beginning" is 0.

    Args:
        start: a value that was accepted by the settings.
        now: seconds since the epoch, which ages are counted from.

    Raises:
        ValueError: `start` has none of the forms.
    """
    if start == "beginning":
        return 0.0
    if start == "now":
        return now
    if age := _RELATIVE.fullmatch(start if start.startswith("-") else f"-{start}"):
        return max(now - int(age[1]) * _UNIT_SECONDS[age[2]], 0.0)
    found = _ABSOLUTE.fullmatch(start)
    if not found:
        raise ValueError(f"must be {_START_FORMS}")
    if found[1] and not found[3]:
        raise ValueError(f'a time of day needs its zone: "{start}Z" for UTC')
    try:
        moment = datetime.fromisoformat(start.upper())
    except ValueError as error:
        raise ValueError(f"is not in the calendar: {error}") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1), 0.0)


def duration_seconds(text: str) -> float:
    """How long a duration such as 90s, 15m, 15h or 14d is.

    Raises:
        ValueError: it has another form.
    """
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError('must be a number and its unit, such as "90s", "30m", "15h" or "14d"')
    return float(int(found[1]) * _UNIT_SECONDS[found[2]])


def is_usual_bucket(name: str) -> bool:
    """Whether a bucket may have been made after March 2018 by this name; an access point's ARN is none.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    """
    return name.startswith("arn:") or not (len(name) > LONGEST_BUCKET or _OLD_BUCKET.search(name))


def loopback(host: str) -> bool:
    """Whether a host name or address is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split_url(text: str) -> SplitResult:
    """Take an http(s) address apart.

    Raises:
        ValueError: it is none, or carries a user name or password.
    """
    try:
        url = urlsplit(text)
        host = url.hostname
        _ = url.port
    except ValueError as error:
        raise ValueError(f"is not an address: {error}") from None
    if url.scheme not in {"http", "https"} or not host or not text.isprintable() or " " in text:
        raise ValueError("must be an address such as https://host:port")
    if "@" in url.netloc:
        raise ValueError("must not carry a user name or password: they have keys of their own")
    if url.query or url.fragment:
        raise ValueError("must not have a query or fragment")
    return url


def _start(text: str) -> str:
    start_seconds(text, 0.0)
    return text


def _late_horizon(text: str) -> str:
    if not 180 <= duration_seconds(text) <= 14 * 86_400:
        raise ValueError('must be between "3m" and "14d": CloudWatch Logs accepts nothing that is older')
    return text


def _url(text: str) -> str:
    split_url(text)
    return text.rstrip("/")


def _path(path: Path, info: ValidationInfo) -> Path:
    if "\0" in str(path) or str(path) in {"", "."}:
        raise ValueError("must be a path")
    return surroundings(info).folder / _expanded(path)


def _listen(text: str) -> str:
    if text == "off":
        return text
    try:
        url = urlsplit(f"//{text}")
        ok = bool(url.hostname) and url.port is not None and url.netloc == text and "@" not in text
    except ValueError:
        ok = False
    if not ok:
        raise ValueError('must be host:port such as 127.0.0.1:9464, or "off"')
    return text


def _secret_file(value: Any, info: ValidationInfo) -> Any:
    if value is None or isinstance(value, SecretStr) or not isinstance(value, str):
        return value
    around = surroundings(info)
    return SecretStr(_read_secret(_find_secret(value, around))) if around.secrets else None


def _find_secret(name: str, around: Surroundings) -> Path:
    if "\0" in name or not name:
        raise ValueError("must be a path")
    if around.credentials and os.path.lexists(around.credentials / name):
        return around.credentials / name
    return around.folder / _expanded(Path(name))


def _read_secret(path: Path) -> str:
    try:
        # O_NONBLOCK: a named pipe without a writer must not hang the start
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            mode = os.fstat(handle).st_mode
            if not stat.S_ISREG(mode):
                raise ValueError(f"{path} is not a regular file")
            if mode & stat.S_IROTH:
                raise ValueError(f"{path} can be read by everyone on this machine: chmod o-rwx {path}")
            if mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise ValueError(f"{path} can be changed by others than its owner: chmod go-w {path}")
            content = file.read(MOST_SECRET_BYTES + 1)
    except PermissionError:
        raise ValueError(f"{path} cannot be read by this user") from None
    except OSError as error:
        # without the path: some write the secret itself where its file belongs
        raise ValueError(f"the file that it names cannot be read: {error.strerror}") from None
    if len(content) > MOST_SECRET_BYTES:
        raise ValueError(f"{path} is larger than {MOST_SECRET_BYTES} bytes")
    try:
        text = content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text in UTF-8") from None
    return _one_line(text, str(path))


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(str(error)) from None


def _one_line(text: str, where: str) -> str:
    if not text.strip():
        raise ValueError(f"{where} is empty")
    if not text.isprintable():  # it goes into an HTTP header, where a line break would start another
        raise ValueError(f"{where} must be one line of printable text")
    return text


def _secret(secret: SecretStr) -> SecretStr:
    _one_line(secret.get_secret_value(), "the secret")
    return secret


def _flow_format(text: str) -> str:
    try:
        layout = layout_from_log_format(text)
    except ConfigError as error:
        raise ValueError(f"{error}; {error.hint}") from None
    for name in layout:
        # Names that are like none known are AWS's newer ones; the others are slips.
        if name not in KNOWN_FIELDS and (near := get_close_matches(name, KNOWN_FIELDS, n=1, cutoff=0.8)):
            raise ValueError(f"unknown field '{name}'; did you mean '{near[0]}'?")
    return text


def _filter(text: str) -> str:
    try:
        read_filter(text)
    except ConfigError as error:
        raise ValueError(f"{error}; {error.hint}" if error.hint else str(error)) from None
    return text


def pattern(form: str, words: str) -> AfterValidator:
    """Return what refuses a text of another form, with these words."""
    compiled = re.compile(form)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(words)
        return text

    return AfterValidator(check)


Text = Annotated[str, Field(min_length=1, max_length=4096)]
Url = Annotated[str, AfterValidator(_url)]
Start = Annotated[str, AfterValidator(_start)]
Listen = Annotated[str, AfterValidator(_listen)]
FilePath = Annotated[Path, AfterValidator(_path)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
SecretFile = Annotated[
    SecretStr | None, BeforeValidator(_secret_file), WithJsonSchema({"type": "string", "minLength": 1})
]
"""Written as a path, read at load: the value is the secret itself."""
Name = Annotated[
    str,
    pattern(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", "a name has up to 63 letters, digits, '-' and '_'"),
]
Region = Annotated[str, pattern(r"[a-z]{2,}(-[a-z]+)+-[0-9]+", "must be a region such as us-east-1")]
Account = Annotated[str, pattern(r"[0-9]{12}", "must be an account id of 12 digits")]
RoleArn = Annotated[
    str,
    pattern(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+", "must be such as arn:aws:iam::123456789012:role/logs"),
]
LateHorizon = Annotated[str, AfterValidator(_late_horizon)]
LogGroupPattern = Annotated[
    str,
    pattern(
        # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_LogGroup.html
        r"(arn:aws[a-z-]*:logs:[a-z0-9-]+:[0-9]{12}:log-group:)?[.\-_/#A-Za-z0-9*?]{1,512}(:\*)?",
        "must be a log group's name, a glob such as /aws/lambda/*, or an ARN",
    ),
]
LinkedAccounts = Annotated[
    list[Annotated[str, pattern(r"linked|[0-9]{12}", "must be an account id of 12 digits, or linked")]],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema(
        {"anyOf": [{"const": "linked"}, {"type": "array", "items": {"type": "string", "pattern": "^[0-9]{12}$"}}]}
    ),
]
StreamPrefix = Annotated[str, pattern(r"[^:*]{0,512}", "must be the beginning of log streams' names, without : and *")]
Namespace = Annotated[
    str,
    pattern(
        # https://www.elastic.co/docs/reference/ecs/ecs-data_stream
        r"[^\sA-Z\\/*?\"<>|,#:\-+_.][^\sA-Z\\/*?\"<>|,#:\-]{0,99}",
        'must be lower case, up to 100 characters, without blanks or \\ / * ? " < > | , # : -',
    ),
]
FilterText = Annotated[str, Field(min_length=1, max_length=20_000), AfterValidator(_filter)]
FlowFormat = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_flow_format)]
Fingerprint = Annotated[
    str,
    pattern(r"(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}", "must be a SHA-256 fingerprint: 64 hexadecimal digits"),
]
