"""The app for Splunk's search heads: a macro that leaves doubles out, searches, a dashboard, and our indexed fields.

The Splunk Add-on for AWS parses its own sourcetypes, so that props are written only for sourcetypes of the operator's
choice. Files: https://docs.splunk.com/Documentation/Splunk/latest/Admin/Listofconfigurationfiles
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from shipper import __version__
from shipper.errors import ConfigError

APP = "aws_log_shipper"
_ADDON_SOURCETYPES = {"cloudtrail": "aws:cloudtrail"}
# All that envelopes may have: fields.conf takes wildcards in names of fields, and none in sourcetypes.
_SOURCETYPES = (
    *("aws:cloudtrail", "aws:cloudwatchlogs", "aws:cloudwatchlogs:eks", "aws:cloudwatchlogs:vpcflow"),
    *("aws:elb:accesslogs", "aws:s3:accesslogs", "aws:transitgateway:flowlogs", "aws:waf"),
)
_NAMED_BY_OTHERS = ("account_tag_*", "bucket_tag_*", "dest_tag_*", "iam_*", "log_group_tag_*", "src_tag_*")
_PLACE_FIELDS = (
    *("country", "country_code", "region", "city", "lat", "lon", "asn", "as_org", "isp", "isp_organization"),
    *("anonymity", "cloud_provider", "cloud_service", "cloud_region"),
)
_OWNER_FIELDS = (
    *("interface", "interface_name", "instance_id", "instance_name", "service", "resource", "account"),
    *("vpc", "subnet", "security_group"),
)
_THREAT_FIELDS = tuple(
    f"threat_{name}" for name in ("indicator", "type", "provider", "description", "confidence", "id")
)
_INDEXED = (
    *(f"{side}_{field}" for side in ("src", "dest") for field in (*_PLACE_FIELDS, *_OWNER_FIELDS, *_THREAT_FIELDS)),
    *(f"{side}_{field}" for side in ("pkt_src", "pkt_dest", "related") for field in (*_PLACE_FIELDS, *_THREAT_FIELDS)),
    *(f"{what}_{field}" for what in ("query", "user_agent") for field in _THREAT_FIELDS),
    *("effective_user", "effective_user_id", "shipper_tags"),
    *("session_chain", "session_source_identity", "session_first_address"),
)
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
_ADDON_LACKS = {"waf": "aws:waf"}


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
        for name, text in made.items():
            path = folder / APP / name
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(path.name + ".part")
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)
            written.append(path)
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
    kinds = sorted({*_SOURCETYPES, *sourcetypes.values()})
    patterns = [f"sourcetype::{kind}::{pattern}" for kind in kinds for pattern in _NAMED_BY_OTHERS]
    found["default/fields.conf"] += "".join(f"\n[{field}]\nINDEXED = true\n" for field in (*_INDEXED, *patterns))
    props = {
        kind: _PROPS.get(logs, _LINES)
        for logs, kind in sorted({**_ADDON_LACKS, **sourcetypes}.items())
        if kind == _ADDON_LACKS.get(logs) or kind not in _SOURCETYPES
    }
    found["default/props.conf"] = "\n\n".join("\n".join((f"[{name}]", *lines)) for name, lines in props.items()) + "\n"
    return found


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
