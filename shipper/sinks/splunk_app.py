"""The app for Splunk's search heads: a macro that leaves doubles out, searches, a dashboard, and our indexed fields.

The Splunk Add-on for AWS parses its own sourcetypes, so that props are written only for sourcetypes of the operator's
choice, and for flow logs, whose lines are JSON where the add-on does not know their format.
Files: https://docs.splunk.com/Documentation/Splunk/latest/Admin/Listofconfigurationfiles
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from shipper import __version__
from shipper.errors import ConfigError
from shipper.safe_files import opened_folder, write_file
from shipper.sinks.splunk_app_fields import (
    CLOUDTRAIL,
    TRANSIT_GATEWAY,
    VPC_FLOW,
    WAF,
    field_stanzas,
    own_sourcetypes,
)

APP = "aws_log_shipper"
_ADDON_SOURCETYPES = {"cloudtrail": CLOUDTRAIL}
_LINES = ("SHOULD_LINEMERGE = false", r"LINE_BREAKER = ([\r\n]+)", "TRUNCATE = 0")
# How records are told apart and read, for sourcetypes that the add-on does not know.
_PROPS = {
    "cloudtrail": (
        *_LINES,
        r'TIME_PREFIX = "eventTime"\s*:\s*"',
        "TIME_FORMAT = %Y-%m-%dT%H:%M:%SZ",
        "MAX_TIMESTAMP_LOOKAHEAD = 32",
        "TZ = UTC",
        "KV_MODE = json",
    ),
    "waf": (
        *_LINES,
        r'TIME_PREFIX = "timestamp"\s*:\s*',
        "TIME_FORMAT = %s%3N",
        "MAX_TIMESTAMP_LOOKAHEAD = 13",
        "TZ = UTC",
        "KV_MODE = json",
    ),
}
_ADDON_LACKS = {"waf": WAF}
# The add-on's names for the fields of its formats: the default one begins the one of all fields of version 5.
_VERSION_5 = (
    *("version", "account_id", "interface_id", "src_ip", "dest_ip", "src_port", "dest_port", "protocol_code"),
    *("packets", "bytes", "start_time", "end_time", "vpcflow_action", "log_status", "vpc_id", "subnet_id"),
    *("instance_id", "tcp_flags", "type", "pkt_srcaddr", "pkt_dstaddr", "region", "az_id", "sublocation_type"),
    *("sublocation_id", "pkt_src_aws_service", "pkt_dst_aws_service", "flow_direction", "traffic_path"),
)
_SELECT_ALL = (
    *("account_id", "vpcflow_action", "az_id", "bytes", "dest_ip", "dest_port", "end_time", "flow_direction"),
    *("instance_id", "interface_id", "log_status", "packets", "pkt_dst_aws_service", "pkt_dstaddr"),
    *("pkt_src_aws_service", "pkt_srcaddr", "protocol_code", "region", "src_ip", "src_port", "start_time"),
    *("sublocation_id", "sublocation_type", "subnet_id", "tcp_flags", "traffic_path", "type", "version"),
    *("vpc_id",),
)
_FLOW_FORMATS = {"default": _VERSION_5[:14], "version_5": _VERSION_5, "select_all": _SELECT_ALL}
# For searches alone; of the add-on's own lines they change nothing, which have no JSON.
_FLOW_PROPS = {
    VPC_FLOW: ("KV_MODE = json",),
    TRANSIT_GATEWAY: (
        "KV_MODE = json",
        "FIELDALIAS-aws_log_shipper_ends = src_ip ASNEW src dest_ip ASNEW dest",
        "FIELDALIAS-aws_log_shipper_account = account_id ASNEW aws_account_id account_id ASNEW vendor_account",
    ),
}


def write_app(folder: Path, indexes: Sequence[str], sourcetypes: Mapping[str, str]) -> list[Path]:
    """Write the app's folder, or bring it up to date; `local/` is never touched.

    Args:
        folder: where the app's own folder is made.
        indexes: those that events go to; empty where the token chooses.
        sourcetypes: by log type, where they are others than the add-on's.

    Returns:
        The files that were written.

    Raises:
        ConfigError: the folder cannot be written, or a name cannot stand in a search.
    """
    for name in (*indexes, *sourcetypes.values()):
        if not name.isprintable() or any(character in name for character in '"\\[]`$*'):
            raise ConfigError(f"'{name}' cannot stand in a Splunk search", "choose letters, digits, '_', '-' and ':'")
    made = _contents(indexes, sourcetypes)
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            *places, last = name.split("/")
            with opened_folder(folder, APP, *places, make=True, mode=0o777) as place:
                write_file(last, place, text.encode(), mode=0o666)  # less the umask: Splunk's user reads it
            written.append(folder / APP / name)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}", "choose another folder with --to") from error
    return written


def _contents(indexes: Sequence[str], sourcetypes: Mapping[str, str]) -> dict[str, str]:
    chosen = {**_ADDON_SOURCETYPES, **sourcetypes}
    words = {
        "version": __version__,
        "indexes": _any_of("index", indexes),
        "cloudtrail": f'sourcetype="{chosen["cloudtrail"]}"',
    }
    found = {name: _filled(text, words) for name, text in _templates(files("shipper.sinks") / "splunk_app_files")}
    stanzas = field_stanzas(sourcetypes)
    found["default/fields.conf"] += "".join(f"\n[{name}]\nINDEXED = true\n" for name in stanzas)
    props = _FLOW_PROPS | {
        kind: (*_PROPS.get(logs, _LINES), *(_flow_lines() if logs == "vpcflow" else ()))
        for logs, kind in sorted({**_ADDON_LACKS, **sourcetypes}.items())
        if kind == _ADDON_LACKS.get(logs) or kind not in own_sourcetypes()
    }
    found["default/props.conf"] = "\n\n".join("\n".join((f"[{name}]", *lines)) for name, lines in props.items()) + "\n"
    return found


def _flow_lines() -> list[str]:
    """How flow log lines of formats that are shipped as lines are taken apart where the add-on does not do it."""
    patterns = {name: " ".join(rf"(?<{field}>\S+)" for field in fields) for name, fields in _FLOW_FORMATS.items()}
    return [*_FLOW_PROPS[VPC_FLOW], *(f"EXTRACT-{name} = ^{pattern}$" for name, pattern in patterns.items())]


def _templates(folder: Traversable, prefix: str = "") -> list[tuple[str, str]]:
    found = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            found += _templates(entry, f"{prefix}{entry.name}/")
        else:
            found.append((prefix + entry.name, entry.read_text(encoding="utf-8")))
    return found


def _filled(text: str, words: Mapping[str, str]) -> str:
    for name, word in words.items():
        text = text.replace(f"@@{name}@@", word)
    return text


def _any_of(key: str, names: Sequence[str]) -> str:
    if not names:
        return f"{key}=*"
    alternatives = [f'{key}="{name}"' for name in names]
    return alternatives[0] if len(alternatives) == 1 else f"({' OR '.join(alternatives)})"
