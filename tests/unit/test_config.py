"""The configuration: what is accepted, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shipper.build import LOG_TYPES
from shipper.config import S3Source, Settings, load, parse, schema_text
from shipper.config.values import Surroundings
from shipper.errors import ConfigError

ROOT = Path(__file__).parents[2]
SMALL = """
sources:
  trail: {type: s3, bucket: my-trail}
sinks:
  archive: {type: archive, path: archive}
"""
ISSUE = """
state: {path: /var/lib/shipper}
listen: 127.0.0.1:9464
aws: {region: us-east-1, profile: null, role_arn: null, external_id: null, endpoint_url: null}
sources:
  trail: {type: s3, bucket: my-trail, prefix: AWSLogs/, logs: cloudtrail, start: "2026-01-01"}
sinks:
  siem:    {type: elasticsearch, hosts: ["https://es:9200"], api_key_file: es, data_stream_namespace: default}
  splunk:  {type: splunk_hec, urls: ["https://splunk:8088"], token_file: hec, index: aws}
  archive: {type: archive, path: /var/lib/shipper/archive}
enrich: {geoip: {city: /usr/share/GeoIP/GeoLite2-City.mmdb, asn: /usr/share/GeoIP/GeoLite2-ASN.mmdb}}
workers: {threads: 8}
limits: {in_flight_bytes: 134217728, object_bytes: 536870912, record_bytes: 1048576}   # decompressed
"""
NAMED = ", ".join(f"'{name}'" for name in [*LOG_TYPES][:-1]) + f" or '{[*LOG_TYPES][-1]}'"
CANARY = "canary-4f1b"


def read(text: str, **environ: str) -> Settings:
    return parse(text, name="s.yaml", environ=environ, around=Surroundings(folder=Path("/etc/shipper")))


def listed(settings: Settings, name: str) -> S3Source:
    source = settings.sources[name]
    assert isinstance(source, S3Source)
    return source


def mistakes(text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text, **environ)
    return str(caught.value).splitlines()


def with_sink(keys: str) -> str:
    return f"sources: {{trail: {{type: s3, bucket: my-trail}}}}\nsinks: {{out: {{{keys}}}}}\n"


def with_redact(keys: str) -> str:
    return f"{SMALL}redact: {{{keys}}}\n"


def with_source(keys: str) -> str:
    return f"sources: {{trail: {{type: s3, bucket: my-trail, {keys}}}}}\nsinks: {{out: {{type: archive, path: a}}}}\n"


def secret_file(folder: Path, name: str, content: str = CANARY + "\n", mode: int = 0o600) -> Path:
    path = folder / name
    path.write_text(content)
    path.chmod(mode)
    return path


def test_the_documented_example_is_accepted(tmp_path: Path) -> None:
    """The configuration of the documentation loads, its secrets come from files without their line end."""
    secret_file(tmp_path, "es")
    secret_file(tmp_path, "hec", "token")
    path = secret_file(tmp_path, "shipper.yaml", ISSUE)

    settings = load(path, environ={})

    siem, splunk = settings.sinks["siem"], settings.sinks["splunk"]
    assert siem.type == "elasticsearch"
    assert siem.api_key_secret == CANARY
    assert splunk.type == "splunk_hec"
    assert splunk.token_secret == "token"
    assert listed(settings, "trail").start_seconds(0) == 1_767_225_600
    assert settings.sinks_of("trail") == ["siem", "splunk", "archive"]
    assert settings.address == ("127.0.0.1", 9464)


def test_defaults_are_the_documented_ones() -> None:
    """A file with only what is required gets the documented defaults."""
    settings = read(SMALL)
    assert settings.state.path == Path("/var/lib/shipper")
    assert (settings.workers.threads, settings.grace_seconds, settings.listen) == (8, 25.0, "127.0.0.1:9464")
    assert settings.limits.in_flight_bytes == 134_217_728
    assert (settings.log.level, settings.log.format) == ("info", "auto")
    assert settings.sources["trail"].logs == "cloudtrail"


def test_ten_mistakes_are_told_at_once_each_with_file_line_key_and_suggestion() -> None:
    """One run tells of every mistake in the file, in the file's order."""
    text = """\
state: {pth: /tmp}
sources:
  trail:
    type: s3
    bukcet: my-trail
    start: yesterday
    to: [siem, archiv]
sinks:
  siem:
    type: elasticsearch
    hosts: ["http://es.example.com:9200"]
    verify_certs: perhaps
  archive: {type: archve, path: /tmp/a}
  splunk: {type: splunk_hec, urls: ["https://splunk:8088"]}
workers: {threads: 0}
limits: {object_bytes: many}
"""
    start = '"2026-01-01", a time "2026-01-01T08:00:00Z", an age "-24h" or "-7d", "now" or "beginning"'
    plain_http = "plain http beyond this machine is refused; use https, or set allow_insecure_http: true"
    assert mistakes(text) == [
        "s.yaml:1: state.pth: unknown key; did you mean 'path'?",
        "s.yaml:5: sources.trail.bukcet: unknown key; did you mean 'bucket'?",
        f"s.yaml:6: sources.trail.start: must be a date {start}",
        "s.yaml:7: sources.trail.to[1]: no sink is called 'archiv'; did you mean 'archive'?",
        f"s.yaml:11: sinks.siem.hosts[0]: {plain_http}",
        "s.yaml:12: sinks.siem.verify_certs: must be true or false",
        "s.yaml:13: sinks.archive.type: must be 'elasticsearch', 'splunk_hec', 'archive'; did you mean 'archive'?",
        "s.yaml:14: sinks.splunk: token or token_file is required",
        "s.yaml:15: workers.threads: must be at least 1",
        "s.yaml:16: limits.object_bytes: must be a whole number",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "s.yaml:1: the file is empty"),
        ("- a", "s.yaml:1: the file must be made of sections (key: value)"),
        ("a: [", "s.yaml:1: not valid YAML: while parsing a flow node, expected the node content"),
        ("a: \x07", "s.yaml:1: not valid YAML: the character U+0007 is not allowed"),
        (SMALL + "sinks: {}", "s.yaml:6: sinks: the key is given twice, first in line 4"),
        (SMALL + "? [a]\n: b", "s.yaml:6: a key must be a word"),
        (SMALL + "listen: !!python/name:os.system x", "s.yaml:6: listen: the tag "),
        (SMALL + "listen: 9464", "s.yaml:6: listen: must be host:port"),
        (SMALL + "grace_seconds: .nan", "s.yaml:6: grace_seconds: must be a number"),
        (SMALL + "workers: 8", "s.yaml:6: workers: must be a section (key: value)"),
        (
            SMALL + "log: {level: waring}",
            "s.yaml:6: log.level: must be 'debug', 'info', 'warning' or 'error'; did you mean 'wa",
        ),
        ("sources: {a: {type: s3, bucket: abc}}", "s.yaml:1: sinks: is required"),
        ("sinks: {a: {type: archive, path: abc}}\nsources: {}", "s.yaml:2: sources: must not be empty"),
        (with_sink("type: archive"), "s.yaml:2: sinks.out.path: is required"),
        (with_sink("path: a"), "s.yaml:2: sinks.out: type is required"),
        (with_sink("type: elasticsearch"), "s.yaml:2: sinks.out: hosts or cloud_id is required"),
        (with_sink("type: elasticsearch, hosts: es"), "s.yaml:2: sinks.out.hosts: must be a list"),
        (
            with_sink("type: elasticsearch, hosts: ['es:9200']"),
            "s.yaml:2: sinks.out.hosts[0]: must be an address such as",
        ),
        (
            with_sink("type: elasticsearch, hosts: ['https://u:p@es']"),
            "s.yaml:2: sinks.out.hosts[0]: must not carry a user name or password",
        ),
        (
            with_sink("type: elasticsearch, hosts: ['https://es'], api_key: a, username: b, password: c"),
            "s.yaml:2: sinks.out: only one of api_key and username can be used",
        ),
        (
            with_sink("type: elasticsearch, hosts: ['https://es'], proxy: 'http://p', proxy_username: b"),
            "s.yaml:2: sinks.out: proxy_username and proxy_password or proxy_password_file are needed together",
        ),
        (
            with_sink("type: splunk_hec, urls: ['https://s'], token: t, proxy_username: b, proxy_password: c"),
            "s.yaml:2: sinks.out.proxy_username: needs proxy beside it",
        ),
        (
            with_sink("type: elasticsearch, hosts: ['https://es'], username: b"),
            "s.yaml:2: sinks.out.username: needs password or password_file beside it",
        ),
        (
            with_sink("type: elasticsearch, hosts: ['https://es'], cloud_id: b"),
            "s.yaml:2: sinks.out.cloud_id: cannot stand beside hosts",
        ),
        (
            with_sink("type: elasticsearch, hosts: ['https://es'], data_stream_namespace: Prod"),
            "s.yaml:2: sinks.out.data_stream_namespace: must be lower case",
        ),
        (
            with_sink("type: splunk_hec, urls: ['https://s'], token: ''"),
            "s.yaml:2: sinks.out.token: the secret is empty",
        ),
        (
            with_sink("type: splunk_hec, urls: ['https://s:8088/services/collector/event'], token: t"),
            "s.yaml:2: sinks.out.urls[0]: must end before /services/collector",
        ),
        (
            with_sink("type: splunk_hec, urls: ['https://s'], token: t, ack_poll_seconds: 5"),
            "s.yaml:2: sinks.out.ack_poll_seconds: has no effect without ack: true",
        ),
        (with_sink("type: archive, path: /var/lib/shipper/"), "s.yaml:2: sinks.out.path: is the folder of the state"),
        (
            f"{SMALL}enrich: {{iam: {{role_name: 'arn:aws:iam::1:role/x'}}}}\n",
            "s.yaml:6: enrich.iam.role_name: must be a role's name",
        ),
        (with_redact("rules: [{action: mask}]"), "s.yaml:6: redact.rules[0]: needs either field or pattern"),
        (with_redact("rules: [{field: a, pattern: email}]"), "s.yaml:6: redact.rules[0]: needs either field or"),
        (
            with_redact("rules: [{feild: a, pattern: email}]"),
            "s.yaml:6: redact.rules[0].feild: unknown key; did you mean 'field'?",
        ),
        (with_redact("rules: [{field: eventID}]"), "s.yaml:6: redact.rules[0].field: cannot be taken out"),
        (with_redact("rules: [{field: a..b}]"), "s.yaml:6: redact.rules[0].field: must be a path of names"),
        (with_redact("rules: [{pattern: emial}]"), "s.yaml:6: redact.rules[0].pattern: must be 'access_key'"),
        (with_redact("rules: [{field: a, action: hash}]"), "s.yaml:6: redact.rules[0].action: hash needs redact.hash_"),
        (
            with_redact("hash_key: a, hash_key_file: null, rules: [{field: a, pattern: token}]"),
            "s.yaml:6: redact.rules[0]: needs either field or pattern",
        ),
        (with_source("bucket: b"), "s.yaml:1: sources.trail.bucket: the key is given twice"),
        (with_source("start: 2026-02-30"), "s.yaml:1: sources.trail.start: is not in the calendar"),
        (with_source("start: '2026-01-01T00:00:00'"), "s.yaml:1: sources.trail.start: a time of day needs its zone"),
        (
            with_source("logs: vpcflo"),
            f"s.yaml:1: sources.trail.logs: must be {NAMED}; did you mean 'vpcflow'?",
        ),
        (
            with_source("logs: vpcflow, format: '${version} ${srcadr} ${dstaddr}'"),
            "s.yaml:1: sources.trail.format: unknown field 'srcadr'; did you mean 'srcaddr'?",
        ),
        (
            with_source("format: version srcaddr"),
            "s.yaml:1: sources.trail.format: is for flow logs only: logs: vpcflow",
        ),
        (
            with_source("expected_bucket_owner: 12"),
            "s.yaml:1: sources.trail.expected_bucket_owner: must be an account id",
        ),
        (
            with_source("aws: {external_id: x}"),
            "s.yaml:1: sources.trail: aws.external_id is given without aws.role_arn",
        ),
        (
            with_source("aws: {endpoint_url: 'http://s3.example.com'}"),
            "s.yaml:1: sources.trail.aws.endpoint_url: plain http beyond this machine is refused",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_place(text: str, expected: str) -> None:
    """Each kind of mistake gives one line that names file, line and key."""
    (line,) = mistakes(text)
    assert line.startswith(expected)


def test_what_is_not_closed_is_told_with_where_it_begins() -> None:
    """The line where reading ended says little of a bracket that was forgotten far above."""
    (told,) = mistakes("sources:\n  a: [\n\n    b\nsinks:\n  c: {d: e}\n")
    assert told.startswith("s.yaml:5: not valid YAML: while parsing a flow sequence that begins in line 2, ")


def test_two_archives_cannot_share_a_folder() -> None:
    """Two sinks that would overwrite each other's files are refused."""
    text = SMALL + "  again: {type: archive, path: /etc/shipper/archive/}"
    assert mistakes(text) == ["s.yaml:6: sinks.again.path: is the folder of sink 'archive' already"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.8.8"])
def test_plain_http_is_allowed_on_this_machine(host: str) -> None:
    """Loopback needs no TLS."""
    read(with_sink(f"type: elasticsearch, hosts: ['http://{host}:9200']"))


def test_plain_http_is_allowed_where_it_is_asked_for() -> None:
    """allow_insecure_http opens plain http, for its own section only."""
    read(with_sink("type: splunk_hec, urls: ['http://splunk'], token: t, allow_insecure_http: true"))
    read(with_source("aws: {endpoint_url: 'http://s3', allow_insecure_http: yes}"))


def test_an_empty_section_counts_as_not_given() -> None:
    """A section whose keys are all commented out means the defaults, and does not hide a misspelt one."""
    assert read(SMALL + "workers:\nlog: ~\n").workers.threads == 8
    assert mistakes(SMALL + "wrokers:\n") == ["s.yaml:6: wrokers: unknown key; did you mean 'workers'?"]


def test_scalars_keep_what_was_written() -> None:
    """YAML's own ideas of octal numbers, dates and booleans do not change identifiers."""
    settings = read(
        "sources: {on: {type: s3, bucket: 0123456, start: 2026-01-01,"
        " aws: {role_arn: 'arn:aws:iam::123456789012:role/x', external_id: 0123}}}\n"
        "sinks: {no: {type: archive, path: a}}\n"
    )
    assert listed(settings, "on").bucket == "0123456"
    assert settings.aws_of("on").model_dump()["external_id"] == "0123"
    assert list(settings.sinks) == ["no"]


def test_the_environment_is_put_in() -> None:
    """${NAME}, ${NAME:-default} and the escape work, also for numbers; an empty result counts as not given."""
    text = SMALL + "workers: {threads: '${N}'}\ngrace_seconds: ${GRACE:-7}\naws: {profile: '${P:-}', external_id: ~}\n"
    settings = read(text, N="3")
    assert (settings.workers.threads, settings.grace_seconds, settings.aws.profile) == (3, 7.0, None)
    assert read(SMALL + "aws: {profile: '$${x}-$y'}").aws.profile == "${x}-$y"


def test_a_missing_variable_is_a_mistake_with_its_line() -> None:
    """A variable without value or default is told once, and nothing is said of the value that it leaves open."""
    text = SMALL + "workers:\n  threads: ${NONE}\nlisten: ${bad-name}\n"
    assert mistakes(text) == [
        "s.yaml:7: workers.threads: the environment has no variable NONE; ${NONE:-…} gives a default",
        "s.yaml:8: listen: '${' must be followed by NAME} or NAME:-default}; write '$${' for '${'",
    ]


def test_values_of_secrets_and_of_the_environment_are_never_shown() -> None:
    """No message and no repr holds a secret, even where it stands in the wrong place."""
    text = (
        "sources: {trail: {type: '${S}', bucket: '${S}', start: '${S}', logs: '${S}'}}\n"
        "sinks: {a: {type: '${S}'}, b: {type: splunk_hec, urls: ['${S}'], token_file: '${S}', index: {y: '${S}'}}}\n"
        "workers: {threads: '${S}'}\nlisten: '${S}'\n"
    )
    assert CANARY not in "\n".join(mistakes(text, S=CANARY))
    settings = read(with_sink("type: splunk_hec, urls: ['https://s'], token: '${S}'"), S=CANARY)
    assert CANARY not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    "text",
    [
        with_source("logs: '${GIVEN}'"),
        with_source("start: '${GIVEN}'"),
        with_source("to: ['${GIVEN}']"),
        with_source("""filter: 'keep ${GIVEN} == ${GIVEN} nope "x"'"""),
        with_source("logs: vpcflow, filter: 'keep ${GIVEN} == \"x\"'"),
        with_source("aws: {region: '${GIVEN}'}"),
        "listen: '${GIVEN}'",
        with_sink("hosts: ['http://user:${GIVEN}@es']"),
    ],
)
def test_what_the_environment_gave_is_in_no_message(text: str) -> None:
    """Whichever key it was put in, and however much of it a message would quote."""
    told = "\n".join(mistakes(text, GIVEN=CANARY))
    assert told
    assert CANARY not in told


@pytest.mark.parametrize(
    ("keys", "refused"),
    [
        ("hosts: ['http://localhost:9200'], proxy: 'http://proxy.example:3128'", True),
        ("hosts: ['http://localhost:9200'], proxy: 'https://proxy.example:3128'", False),
        ("hosts: ['http://localhost:9200'], proxy: 'http://127.0.0.1:3128'", False),
        ("hosts: ['https://es:9200'], proxy: 'http://proxy.example:3128'", False),
        ("hosts: ['http://es'], proxy: 'http://proxy.example', allow_insecure_http: true", False),
    ],
)
def test_a_proxy_that_would_see_the_key_is_refused(keys: str, *, refused: bool) -> None:
    """To an https server a proxy passes on what it cannot read; to others it reads the credentials."""
    text = with_sink(f"type: elasticsearch, {keys}")
    if not refused:
        read(text)
        return
    assert any("sinks.out.proxy: plain http" in line for line in mistakes(text))


def test_all_secrets_are_known_to_the_log() -> None:
    """What the log hides includes every sink's secrets, and the header that basic authentication sends."""
    text = "sources: {t: {type: s3, bucket: abc}}\nsinks: {a: {type: splunk_hec, urls: ['https://s'], token: tok},"
    settings = read(text + " b: {type: elasticsearch, hosts: ['https://e'], username: u, password: pass}}")
    assert settings.secret_values() == ["tok", "pass", "dTpwYXNz"]
    assert "salt" in read(with_redact("hash_key: salt")).secret_values()


def test_remarks_name_what_should_not_stay_so() -> None:
    """Unverified servers, plain http and a listener for other machines are remarked on, not refused."""
    text = with_sink("type: splunk_hec, urls: ['http://s'], token: t, allow_insecure_http: true, verify_certs: false")
    remarks = read(text + "listen: 0.0.0.0:9464").remarks()
    assert [r.where for r in remarks] == ["sinks.out.verify_certs", "sinks.out.allow_insecure_http", "listen"]
    assert not any(r.serious for r in remarks)
    assert read(SMALL).remarks() == []


def test_every_log_type_can_be_configured() -> None:
    """What `logs` accepts and what build can read are the same."""
    assert list(get_args(S3Source.model_fields["logs"].annotation)) == list(LOG_TYPES)


def test_secret_files_are_checked(tmp_path: Path) -> None:
    """A secret file that everyone may read, that is empty, missing or no line of text is refused."""
    secret_file(tmp_path, "open", mode=0o644)
    secret_file(tmp_path, "empty", "\n")
    secret_file(tmp_path, "lines", "a\nb\n")
    text = "sources: {t: {type: s3, bucket: abc}}\nsinks:\n" + "\n".join(
        f"  {name}: {{type: splunk_hec, urls: ['https://s'], token_file: {name}}}"
        for name in ("open", "empty", "lines", "none")
    )
    path = secret_file(tmp_path, "shipper.yaml", text)
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    told = str(caught.value).splitlines()
    assert [line.partition("token_file: ")[0] for line in told] == [
        f"{path}:{line}: sinks.{name}." for line, name in ((3, "open"), (4, "empty"), (5, "lines"), (6, "none"))
    ]
    assert "can be read by everyone" in told[0]
    assert "is empty" in told[1]
    assert "one line" in told[2]
    assert "No such file" in told[3]
    assert load(path, environ={}, secrets=False).sinks["none"].type == "splunk_hec"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o660])
def test_a_secret_that_others_can_change_is_refused(tmp_path: Path, mode: int) -> None:
    """Who can write the key decides who reads the events."""
    path = secret_file(tmp_path, "token", mode=mode)
    told = mistakes(with_sink(f"type: splunk_hec, urls: ['https://s'], token_file: {path}"))
    assert any("by others than its owner" in line or "read by everyone" in line for line in told)


def test_systemd_credentials_are_found_by_name(tmp_path: Path) -> None:
    """A relative secret file is looked for in $CREDENTIALS_DIRECTORY first."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    secret_file(credentials, "hec", "from systemd", mode=0o400)
    path = secret_file(tmp_path, "s.yaml", with_sink("type: splunk_hec, urls: ['https://s'], token_file: hec"))
    sink = load(path, environ={"CREDENTIALS_DIRECTORY": str(credentials)}).sinks["out"]
    assert sink.type == "splunk_hec"
    assert sink.token_secret == "from systemd"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_change_is_refused(tmp_path: Path, mode: int) -> None:
    """A configuration that others than its owner can write is not trusted."""
    path = secret_file(tmp_path, "s.yaml", SMALL, mode)
    with pytest.raises(ConfigError, match="can change this file") as caught:
        load(path)
    assert caught.value.hint == f"chmod go-w {path}"


def test_an_unreadable_file_is_told(tmp_path: Path) -> None:
    """A missing file, a folder, and bytes that are no text are told by name."""
    (tmp_path / "latin.yaml").write_bytes(b"a: b\n# caf\xe9\n")
    for name, words in (("none", "No such file"), (".", "Is a directory"), ("latin.yaml", r"latin.yaml:2: not text")):
        with pytest.raises(ConfigError, match=words):
            load(tmp_path / name)


def test_relative_paths_start_at_the_files_folder() -> None:
    """Where the daemon is started from makes no difference."""
    sink = read(SMALL).sinks["archive"]
    assert sink.type == "archive"
    assert sink.path == Path("/etc/shipper/archive")


def test_sources_override_aws_and_choose_sinks() -> None:
    """A source's own aws section is laid over the general one, key by key; `to` picks sinks."""
    settings = read(
        "aws: {region: us-east-1, profile: main}\n"
        "sources: {a: {type: s3, bucket: abc, to: [y], aws: {region: eu-west-1}}, b: {type: s3, bucket: abc}}\n"
        "sinks: {x: {type: archive, path: x}, y: {type: archive, path: y}}\n"
    )
    assert (settings.aws_of("a").region, settings.aws_of("a").profile) == ("eu-west-1", "main")
    assert (settings.sinks_of("a"), settings.sinks_of("b")) == (["y"], ["x", "y"])


@pytest.mark.parametrize(
    ("start", "seconds"),
    [
        ("beginning", 0.0),
        ("now", 1e9),
        ("-24h", 1e9 - 86_400),
        ("-7d", 1e9 - 604_800),
        ("-90m", 1e9 - 5_400),
        ("1970-01-02", 86_400.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("1970-01-01T00:00:01.5Z", 1.5),
    ],
)
def test_start_has_these_forms(start: str, seconds: float) -> None:
    """Dates, RFC 3339 times, ages, now and beginning."""
    assert listed(read(with_source(f"start: '{start}'")), "trail").start_seconds(1e9) == seconds


def test_settings_are_frozen() -> None:
    """Nobody changes settings behind another's back."""
    settings = read(SMALL)
    with pytest.raises(ValidationError, match="frozen"):
        settings.workers = settings.workers  # type: ignore[misc]


def test_aliases_cannot_grow_without_bound() -> None:
    """A file of a few lines that means billions of values is refused at once."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert any("the file is more than 20000 values long" in line for line in mistakes("\n".join(lines)))
    assert any("levels deep" in line for line in mistakes("a: &a [*a]"))
    assert any("levels deep" in line for line in mistakes("[" * 5000))


def _outcome(text: str) -> Settings | list[str]:
    try:
        return parse(text, name="s.yaml", environ={"A": "b"}, around=Surroundings(folder=Path("/nonexistent")))
    except ConfigError as error:
        told = str(error).splitlines()
        assert told
        assert all(line.startswith("s.yaml:") for line in told)
        return told


@given(st.text(max_size=200))
def test_any_text_gives_settings_or_mistakes(text: str) -> None:
    """No text makes the reader fail in any other way."""
    _outcome(text)


_KEYS = sorted(
    {*Settings.model_fields, "type", "bucket", "hosts", "urls", "token_file", "api_key", "path", "city", "to"}
)
_SCALARS = st.one_of(
    st.sampled_from(
        [
            "s3",
            "archive",
            "elasticsearch",
            "splunk_hec",
            "~",
            "8",
            "http://a",
            "${A}",
            "${B",
            "-24h",
            "*x",
            "!t",
            "~nobody/x",
        ]
    ),
    st.text(max_size=8),
)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return str(value)


@given(
    st.recursive(
        _SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=5),
        max_leaves=20,
    )
)
def test_any_arrangement_of_known_keys_gives_settings_or_mistakes(value: Any) -> None:
    """Known keys with the wrong shapes under them are mistakes, never failures."""
    _outcome(_flow(value))


def test_the_committed_schema_is_current() -> None:
    """docs/config.schema.json is what the settings say (python -m shipper.config > docs/config.schema.json)."""
    assert (ROOT / "docs" / "config.schema.json").read_text() == schema_text()


QUEUE = "sources: {q: {type: s3_notifications, %s}}\nsinks: {out: {type: archive, path: a}}\n"
QUEUE_URL = "queue_url: 'https://sqs.us-east-1.amazonaws.com/111122223333/logs'"


def test_a_queue_is_a_source() -> None:
    """It needs its URL and an allow-list; the rest has defaults."""
    source = read(QUEUE % f"{QUEUE_URL}, buckets: [trail, flow/AWSLogs/]").sources["q"]
    assert source.type == "s3_notifications"
    assert source.buckets == ["trail", "flow/AWSLogs/"]
    assert (source.logs, source.missing_seconds, source.to) == ("auto", 600.0, None)


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        (QUEUE_URL, "s.yaml:1: sources.q.buckets: is required"),
        (f"{QUEUE_URL}, buckets: []", "s.yaml:1: sources.q.buckets: must not be empty"),
        (
            f"{QUEUE_URL}, buckets: ['s3://trail']",
            "s.yaml:1: sources.q.buckets[0]: must be a bucket's name, or bucket/prefix (without s3://)",
        ),
        (f"{QUEUE_URL}, bukets: [trail]", "s.yaml:1: sources.q.bukets: unknown key; did you mean 'buckets'?"),
        (f"{QUEUE_URL}, buckets: [trail], logs: cloudtrial", "did you mean 'cloudtrail'?"),
        ("queue_url: 'http://queue.example/1/logs', buckets: [trail]", "sources.q.queue_url: plain http beyond"),
    ],
)
def test_mistakes_of_a_queue_are_told(keys: str, mistake: str) -> None:
    """With place and nearest key."""
    (told,) = mistakes(QUEUE % keys)
    assert mistake in told


def test_every_key_is_documented() -> None:
    """docs/configuration.md names every key of every section."""
    document = (ROOT / "docs" / "configuration.md").read_text()
    schema = Settings.model_json_schema()
    sections = [schema, *schema["$defs"].values()]
    keys = {key for section in sections for key in section.get("properties", {})}
    assert not [key for key in sorted(keys) if f"`{key}`" not in document]


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ("type: s3, bucket: UPPER_case", "sources.a.bucket"),
        (f"type: s3, bucket: {'b' * 64}", "sources.a.bucket"),
        ("type: s3, bucket: Trail, aws: {region: eu-west-1}", "sources.a.bucket"),
        (f"{QUEUE_URL}, type: s3_notifications, buckets: [trail, my_trail/AWSLogs/]", "sources.a.buckets[1]"),
    ],
)
def test_a_name_that_no_bucket_has_is_refused(source: str, where: str) -> None:
    """Capitals, '_' and long names are told of with file, line, key and what to do."""
    sink = "sinks: {out: {type: archive, path: a}}\n"
    told = mistakes(f"{sink}sources:\n  a: {{{source}}}\n")
    assert [line for line in told if line.startswith(f"s.yaml:3: {where}: a bucket's name has small letters")]
    assert "set aws.region: us-east-1" in told[0]


@pytest.mark.parametrize("aws", ["{region: us-east-1}", "{endpoint_url: 'https://minio.example'}"])
def test_names_of_old_buckets_and_of_other_servers_are_taken(aws: str) -> None:
    """Where such buckets can exist they can be read; prefixes and access points are no names."""
    for source in ("type: s3, bucket: UPPER_case", f"{QUEUE_URL}, type: s3_notifications, buckets: [My_Trail/X_y]"):
        read(f"sources: {{a: {{{source}, aws: {aws}}}}}\nsinks: {{out: {{type: archive, path: a}}}}\n")
    arn = "arn:aws:s3:eu-west-1:111122223333:accesspoint/Point"
    read(f"sources: {{a: {{type: s3, bucket: '{arn}', prefix: A_b/}}}}\nsinks: {{out: {{type: archive, path: a}}}}\n")


def test_a_name_that_no_new_bucket_has_is_remarked() -> None:
    """In the one region where old ones have such names; access points and other servers have names of their own."""
    sink = "sinks: {out: {type: archive, path: a}}\n"
    for name, aws, remarked in (
        ("UPPER_case", "{region: us-east-1}", True),
        ("trail", "{region: us-east-1}", False),
        ("UPPER_case", "{endpoint_url: 'https://minio.example'}", False),
        ("'arn:aws:s3:us-east-1:111122223333:accesspoint/Point'", "{region: us-east-1}", False),
    ):
        found = read(f"{sink}sources: {{a: {{type: s3, bucket: {name}, aws: {aws}}}}}\n").remarks()
        assert [each.where for each in found] == ["sources.a.bucket"] * remarked


def test_a_fallback_log_type_needs_auto() -> None:
    """Where the log type is given, there is nothing to fall back from."""
    queue = "{type: s3_notifications, queue_url: 'https://sqs.us-east-1.amazonaws.com/1/q', buckets: [trail], %s}"
    text = "sources: {a: %s}\nsinks: {out: {type: archive, path: a}}\n"
    assert read(text % (queue % "logs_fallback: vpcflow"))
    with pytest.raises(ConfigError, match=r"sources\.a\.logs_fallback: has no effect with logs: waf"):
        read(text % (queue % "logs: waf, logs_fallback: vpcflow"))
