"""Agreement between keys: what no single value shows. Works on the data as read, so it speaks beside other mistakes."""

from __future__ import annotations

import os.path
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from shipper.access_points import access_point_of, is_arn, partition_of, split_place
from shipper.config.places import Place
from shipper.config.values import LONGEST_BUCKET, is_usual_bucket, loopback, split_url
from shipper.errors import ConfigError
from shipper.filters import read_filter
from shipper.flow_layouts import KNOWN_FIELDS, layout_from_log_format

Found = Iterator[tuple[Place, str]]
_OLD_NAMES_REGION = "us-east-1"
_BUCKET_NAMES = (
    f"a bucket's name has small letters, digits, '.' and '-', at most {LONGEST_BUCKET}; only old ones in "
    f"{_OLD_NAMES_REGION} differ: if this is one, set aws.region: {_OLD_NAMES_REGION}"
)
_TRUE = {"true", "yes", "on", "1", "t", "y"}


def disagreements(data: dict[str, Any], folder: Path) -> Found:
    """Yield (place, text) for each pair of keys that cannot stand together; relative paths start at `folder`."""
    aws = _section(data, "aws")
    yield from _plain_http(("aws", "endpoint_url"), aws.get("endpoint_url"), aws)
    yield from _redact(_section(data, "redact"))
    sinks = _sections(data, "sinks")
    for name, source in _sections(data, "sources").items():
        yield from _source(name, source, aws, list(sinks))
    for name, sink in sinks.items():
        for key in ("hosts", "urls"):
            for position, url in enumerate(_list(sink.get(key))):
                yield from _plain_http(("sinks", name, key, position), url, sink)
        yield from _twice(("sinks", name), sink)
        yield from _proxy(("sinks", name), sink)
        yield from _plain_proxy(("sinks", name), sink)
        if _given(sink, "client_key") and not _given(sink, "client_cert"):
            yield ("sinks", name, "client_key"), "needs client_cert beside it"
        if sink.get("type") == "elasticsearch":
            yield from _elasticsearch(("sinks", name), sink)
        if sink.get("type") == "splunk_hec":
            yield from _splunk(("sinks", name), sink)
    yield from _shared_folders(data, sinks, folder)


def nearest(word: str, known: list[str]) -> str:
    """A suggestion for a word that is not known, to be appended to a message."""
    close = get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(known)}" if known else ""


def _source(name: str, source: dict[str, Any], aws: dict[str, Any], sinks: list[str]) -> Found:
    own = _section(source, "aws")
    both = {**aws, **{key: value for key, value in own.items() if value is not None}}
    yield from _plain_http(("sources", name, "aws", "endpoint_url"), own.get("endpoint_url"), both)
    yield from _plain_http(("sources", name, "queue_url"), source.get("queue_url"), both)
    if _given(both, "external_id") and not _given(both, "role_arn") and not _list(source.get("roles")):
        yield ("sources", name), "aws.external_id is given without aws.role_arn"
    yield from _buckets(("sources", name), source, both)
    yield from _access_point(("sources", name, "bucket"), source.get("bucket"), both)
    if source.get("type") == "cloudwatch_logs":
        yield from _log_groups(("sources", name), source)
    logs = source.get("logs", "cloudtrail" if source.get("type") == "s3" else "auto")
    if _given(source, "format") and logs not in ("vpcflow", "auto"):
        yield ("sources", name, "format"), "is for flow logs only: logs: vpcflow"
    if source.get("logs") == "vpcflow" and isinstance(source.get("filter"), str):
        yield from _flow_filter(("sources", name, "filter"), source["filter"], source.get("format"))
    if _given(source, "logs_fallback") and logs != "auto":
        yield ("sources", name, "logs_fallback"), f"has no effect with logs: {logs}, only with logs: auto"
    if _section(source, "log_group_types") and not _tells_types(source, logs):
        yield (
            ("sources", name, "log_group_types"),
            f"has no effect with logs: {logs}, which names the type of all groups",
        )
    for position, sink in enumerate(_list(source.get("to"))):
        if isinstance(sink, str) and sink not in sinks:
            yield ("sources", name, "to", position), f"no sink is called '{sink}'{nearest(sink, sinks)}"


def _tells_types(source: dict[str, Any], logs: Any) -> bool:
    """Return whether a source reads events of log groups whose types it does not name itself."""
    if source.get("type") == "cloudwatch_logs":
        return bool(logs == "auto")
    return "subscription" in (logs, source.get("logs_fallback"))


def _roles(place: Place, source: dict[str, Any]) -> Found:
    roles = [role for role in _list(source.get("roles")) if isinstance(role, str) and role.count(":") > 4]
    accounts = [role.split(":")[4] for role in roles]
    if roles and _given(_section(source, "aws"), "role_arn"):
        yield (*place, "roles"), "cannot stand beside aws.role_arn"
    for position, account in enumerate(accounts):
        if account in accounts[:position]:
            yield (*place, "roles", position), f"account {account} has a role already"


def _buckets(place: Place, source: dict[str, Any], aws: dict[str, Any]) -> Found:
    """Names that buckets have had only in one region and only until March 2018; other servers have rules of their own.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    """
    if _given(aws, "endpoint_url") or aws.get("region") == _OLD_NAMES_REGION:
        return
    named = [((*place, "bucket"), source.get("bucket"))]
    named += [((*place, "buckets", number), text) for number, text in enumerate(_list(source.get("buckets")))]
    for where, text in named:
        bucket = split_place(text)[0] if isinstance(text, str) else ""
        if not is_usual_bucket(bucket):
            yield where, _BUCKET_NAMES


def _access_point(place: Place, bucket: Any, aws: dict[str, Any]) -> Found:
    """A client of one partition refuses access points of another; the region may be another one."""
    region = aws.get("region")
    if not isinstance(bucket, str) or not is_arn(bucket) or not isinstance(region, str):
        return
    try:
        point = access_point_of(bucket)
    except ValueError:
        return  # said already, of the value itself
    if point.partition != partition_of(region):
        there = f": set it to {point.region}" if point.region else ""
        yield place, f"is of partition {point.partition}, and aws.region {region} is not{there}"


def _log_groups(place: Place, source: dict[str, Any]) -> Found:
    yield from _roles(place, source)
    if not _given(source, "log_groups") and not _section(source, "tags"):
        yield place, "log_groups or tags is required"
    regions, accounts = _list(source.get("regions")), _list(source.get("accounts"))
    for position, text in enumerate(_list(source.get("log_groups"))):
        parts = text.split(":") if isinstance(text, str) and text.startswith("arn:") else []
        for kind, known, part in (("region", regions, 3), ("account", accounts, 4)):
            if len(parts) > 4 and known and parts[part] not in known:
                where = (*place, "log_groups", position)
                yield where, f"its {kind} {parts[part]} is not among the {kind}s of this source"
                break


def _flow_filter(place: Place, text: str, form: Any) -> Found:
    """All fields of flow logs are known, with those that `format` names, so that a slip in one is told."""
    try:
        named = layout_from_log_format(form) if isinstance(form, str) else ()
    except ConfigError:
        named = ()  # said already, of the value itself
    try:
        read_filter(text, known=KNOWN_FIELDS.union(named))
    except ConfigError as error:
        yield place, f"{error}; {error.hint}" if error.hint else str(error)


def _elasticsearch(place: Place, sink: dict[str, Any]) -> Found:
    if not _given(sink, "hosts", "cloud_id"):
        yield place, "hosts or cloud_id is required"
    if _given(sink, "hosts") and _given(sink, "cloud_id"):
        yield (*place, "cloud_id"), "cannot stand beside hosts"
    kinds = [kind for kind in ("api_key", "username", "bearer_token") if _given(sink, kind, f"{kind}_file")]
    if len(kinds) > 1:
        yield place, f"only one of {' and '.join(kinds)} can be used"
    if _given(sink, "username") and not _given(sink, "password", "password_file"):
        yield (*place, "username"), "needs password or password_file beside it"
    for key in ("password", "password_file"):
        if _given(sink, key) and not _given(sink, "username"):
            yield (*place, key), "needs username beside it"


def _redact(redact: dict[str, Any]) -> Found:
    yield from _twice(("redact",), redact)
    for position, rule in enumerate(_list(redact.get("rules"))):
        if not isinstance(rule, dict):
            continue
        place = ("redact", "rules", position)
        if _given(rule, "field") == _given(rule, "pattern"):
            yield place, "needs either field or pattern"
        if rule.get("action") == "hash" and not _given(redact, "hash_key", "hash_key_file"):
            yield (*place, "action"), "hash needs redact.hash_key or redact.hash_key_file"


def _splunk(place: Place, sink: dict[str, Any]) -> Found:
    if not _given(sink, "token", "token_file"):
        yield place, "token or token_file is required"
    for position, url in enumerate(_list(sink.get("urls"))):
        if isinstance(url, str) and "/services/collector" in url:
            yield (*place, "urls", position), "must end before /services/collector, which is added"
    yield from _plain_http((*place, "search_url"), sink.get("search_url"), sink)
    if _given(sink, "search_url") != _given(sink, "search_token", "search_token_file"):
        yield place, "search_url and search_token or search_token_file are needed together"
    if str(sink.get("ack")).lower() not in _TRUE:
        for key in ("ack_timeout_seconds", "ack_poll_seconds", "ack_pending_requests"):
            if _given(sink, key):
                yield (*place, key), "has no effect without ack: true"


def _proxy(place: Place, sink: dict[str, Any]) -> Found:
    passwords = ("proxy_password", "proxy_password_file")
    if _given(sink, "proxy_username") and not _given(sink, "proxy"):
        yield (*place, "proxy_username"), "needs proxy beside it"
    if _given(sink, "proxy_username") != _given(sink, *passwords):
        yield place, "proxy_username and proxy_password or proxy_password_file are needed together"


def _plain_proxy(place: Place, sink: dict[str, Any]) -> Found:
    """Refuse a proxy that would see the sink's credentials: where server and proxy are both spoken to in plain http.

    To https servers a proxy only passes on what it cannot read (CONNECT).
    """
    if not isinstance(sink.get("proxy"), str):
        return
    servers = [*_list(sink.get("hosts")), *_list(sink.get("urls")), sink.get("search_url")]
    if any(isinstance(url, str) and url.startswith("http://") for url in servers):
        yield from _plain_http((*place, "proxy"), sink["proxy"], sink)


def _twice(place: Place, sink: dict[str, Any]) -> Found:
    for key in sink:
        if _given(sink, key) and _given(sink, f"{key}_file"):
            yield (*place, f"{key}_file"), f"cannot stand beside {key}"


def _shared_folders(data: dict[str, Any], sinks: dict[str, dict[str, Any]], folder: Path) -> Found:
    def full(path: str) -> str:
        return os.path.normpath(folder / path)

    state = _section(data, "state").get("path") or "/var/lib/shipper"
    owners = {full(state): "the state"} if isinstance(state, str) else {}
    for name, sink in sinks.items():
        path = sink.get("path")
        if sink.get("type") != "archive" or not isinstance(path, str):
            continue
        owner = owners.setdefault(full(path), f"sink '{name}'")
        if owner != f"sink '{name}'":
            yield ("sinks", name, "path"), f"is the folder of {owner} already"


def _plain_http(place: Place, url: Any, section: dict[str, Any]) -> Found:
    if not isinstance(url, str) or str(section.get("allow_insecure_http")).lower() in _TRUE:
        return
    try:
        parts = split_url(url)
    except ValueError:
        return  # said already, of the value itself
    if parts.scheme == "http" and not loopback(parts.hostname or ""):
        yield place, "plain http beyond this machine is refused; use https, or set allow_insecure_http: true"


def _section(data: dict[str, Any], key: str) -> dict[str, Any]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}


def _sections(data: dict[str, Any], key: str) -> dict[str, dict[str, Any]]:
    return {name: found if isinstance(found, dict) else {} for name, found in _section(data, key).items()}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _given(section: dict[str, Any], *keys: str) -> bool:
    return any(section.get(key) not in (None, []) for key in keys)
