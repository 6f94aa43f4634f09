"""The command line: exit codes, messages, and what each command writes where."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from shipper import __version__, build, cli, config
from shipper.build.detection_notes import NEED_NETWORK, NEED_PLACE, geoip_notes
from shipper.checkpoints.sqlite import SqliteCheckpoints
from shipper.config import schema_text
from shipper.model import DeadLetter, Origin, Receipt, Retry, S3Object, S3Split, Tally

GOOD = """
state: {path: state}
listen: "off"
sources: {trail: {type: s3, bucket: my-trail}}
sinks: {out: {type: archive, path: archive}}
"""


@pytest.fixture(autouse=True)
def _restore(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the process's log and umask back, and keep the environment out."""
    monkeypatch.delenv("SHIPPER_CONFIG", raising=False)
    umask = os.umask(0o077)
    yield
    os.umask(umask)
    structlog.reset_defaults()


def config_file(folder: Path, text: str = GOOD) -> Path:
    path = folder / "shipper.yaml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_version_prints_it(capfd: pytest.CaptureFixture[str]) -> None:
    """`shipper version` and `--version` name the program and its version."""
    assert cli.run(["version"]) == 0
    assert cli.run(["--version"]) == 0
    assert [line.split(" (")[0] for line in capfd.readouterr().out.splitlines()] == [
        f"shipper {__version__}",
        f"shipper, version {__version__}",
    ]


def test_help_names_every_command(capfd: pytest.CaptureFixture[str]) -> None:
    """Help lists the commands of the contract; the schema's is for machines and hidden."""
    assert cli.run(["--help"]) == 0
    out = capfd.readouterr().out
    for command in (
        "run",
        "backfill",
        "check",
        "decode",
        "checkpoints",
        "dead-letters",
        "setup",
        "demo",
        "version",
        "completion",
    ):
        assert f"  {command} " in out
    assert "config-schema" not in out


@pytest.mark.parametrize(
    "args", [["rnu"], ["run", "--twice"], ["decode"], ["demo", "--splunk", "http://x"], ["completion", "csh"]]
)
def test_wrong_usage_exits_with_2(args: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """A mistyped command or option is told on standard error."""
    assert cli.run(args) == 2
    captured = capfd.readouterr()
    assert "Error: " in captured.err
    assert not captured.out


@pytest.mark.parametrize("command", [["run"], ["check"], ["checkpoints", "show"], ["setup", "elasticsearch"]])
def test_mistakes_in_the_configuration_exit_with_78(
    command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every command that reads the configuration tells all mistakes on standard error, with a hint."""
    path = config_file(tmp_path, GOOD.replace("bucket:", "bukcet:").replace("path: archive", "pth: archive"))
    assert cli.run([*command, "-c", str(path)]) == 78
    captured = capfd.readouterr()
    assert captured.err.splitlines() == [
        f"{path}:4: sources.trail.bukcet: unknown key; did you mean 'bucket'?",
        f"{path}:5: sinks.out.pth: unknown key; did you mean 'path'?",
        "hint: docs/configuration.md describes every key; docs/config.schema.json lets an editor check the file.",
    ]
    assert not captured.out


def test_the_environment_may_name_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """$SHIPPER_CONFIG stands in for -c."""
    monkeypatch.setenv("SHIPPER_CONFIG", str(config_file(tmp_path)))
    assert cli.run(["check", "--offline"]) == 0
    assert "all is well" in capfd.readouterr().out


def test_check_offline_tries_the_folders(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A folder whose rights promise more than its file system keeps is told of; good ones stay as they are."""
    path = config_file(tmp_path, GOOD.replace("path: state", "path: /proc/x"))
    assert cli.run(["check", "--offline", "-c", str(path)]) == 1
    out = capfd.readouterr().out
    assert re.search(r"problem  state\.path: .* in /proc\b", out)
    assert "ok       sinks.out" in out
    assert {entry.name for entry in tmp_path.iterdir()} == {path.name}


def test_check_offline_tells_of_every_problem_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Folders, certificates and remarks are all checked without any network, and each problem has a hint."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o755)
    (tmp_path / "archive").write_text("not a folder")
    siem = "siem: {type: elasticsearch, hosts: ['https://es'], ca_certs: none.pem, verify_certs: false}"
    path = config_file(tmp_path, GOOD.replace("sinks: {", f"sinks: {{{siem}, "))
    assert cli.run(["check", "--offline", "-c", str(path)]) == 1
    out = capfd.readouterr().out
    assert f"problem  sinks.out.path: {tmp_path}/archive is not a folder" in out
    assert f"problem  sinks.siem.ca_certs: cannot read {tmp_path}/none.pem" in out
    assert "remark   sinks.siem.verify_certs: " in out
    assert f"remark   state.path: {tmp_path}/state is open to other users" in out
    assert out.endswith("2 problems, 2 remarks\n")
    assert not (tmp_path / "state" / "checkpoints.sqlite").exists()


def test_check_offline_says_what_it_did_not_try(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Sources and servers; and nothing is called good that the configuration does not have."""
    siem = "siem: {type: elasticsearch, hosts: ['https://es']}"
    path = config_file(tmp_path, GOOD.replace("sinks: {", f"sinks: {{{siem}, "))
    assert cli.run(["check", "--offline", "-c", str(path)]) == 0
    lines = capfd.readouterr().out.splitlines()
    notes = [line for line in lines if line.startswith(("note ", "   "))]
    assert [line for line in lines if line not in notes] == [
        "ok       configuration",
        "ok       state",
        "ok       sinks.out",
        "untried  sources.trail, sinks.siem: --offline contacts nothing",
        "all is well with what was tried",
    ]
    assert "these rules of Elastic's cannot fire: AWS Access Token Used from Multiple Addresses, " in notes[0]


@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        ("{}", {"asn", "city"}),
        ("{city: c.mmdb}", {"asn"}),
        ("{asn: a.mmdb}", {"city"}),
        ("{isp: a.mmdb, country: c.mmdb}", {"city"}),
        ("{enterprise: e.mmdb}", set()),
    ],
)
def test_check_names_the_rules_that_need_geoip(tmp_path: Path, keys: str, missing: set[str]) -> None:
    """By the database that is missing; nothing is said where no Elasticsearch gets the documents."""
    siem = "siem: {type: elasticsearch, hosts: ['https://es']}"
    text = GOOD.replace("sinks: {", f"sinks: {{{siem}, ") + f"enrich: {{geoip: {keys}}}\n"
    notes = {note.where: note for note in geoip_notes(config.load(config_file(tmp_path, text), secrets=False))}
    assert set(notes) == {f"enrich.geoip.{key}" for key in missing}
    assert all(note.note and not note.serious for note in notes.values())
    for key, rules in (("asn", NEED_NETWORK), ("city", NEED_PLACE)):
        if key in missing and "country" not in keys:
            assert all(rule in notes[f"enrich.geoip.{key}"].what for rule in rules)
    if "country" in keys:
        assert "Country" not in notes["enrich.geoip.city"].what
    other = config.load(config_file(tmp_path, GOOD), secrets=False)
    assert not list(geoip_notes(other))


def test_check_tells_of_a_missing_secret_and_of_all_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The mistake of the file comes with the databases that are missing, and has its own exit code."""
    siem = "siem: {type: elasticsearch, hosts: ['https://es'], api_key_file: none}"
    text = GOOD.replace("sinks: {", f"sinks: {{{siem}, ") + "enrich:\n  geoip:\n    city: 7\n"
    path = config_file(tmp_path, text)
    assert cli.run(["check", "--offline", "-c", str(path)]) == 78
    captured = capfd.readouterr()
    assert f"{path}:5: sinks.siem.api_key_file: the file that it names cannot be read" in captured.err
    assert f"problem  enrich.geoip.city: {tmp_path}/7: No such file or directory (line 8)" in captured.out
    assert captured.out.endswith("2 problems, 0 remarks\n")
    assert cli.run(["check", "--offline", "--json", "-c", str(path)]) == 78
    told = json.loads(capfd.readouterr().out)
    assert [(each["where"], each.get("line")) for each in told["problems"]] == [
        (str(path), None),
        ("enrich.geoip.city", 8),
    ]


@pytest.mark.parametrize(
    "args",
    [
        ["audit", "--source", "nope"],
        ["audit", "--settle-seconds", "nan"],
        ["audit", "--settle-seconds", "inf"],
        ["backfill", "--source", "nope", "--since", "-1d"],
        ["backfill", "--source", "trail", "--since", "-1d", "--until", "-2d"],
        ["checkpoints", "reset", "--source", "nope"],
        ["iam-policy", "--source", "nope", "--to-queue", "https://sqs.eu-west-1.amazonaws.com/111122223333/q"],
        ["iam-policy", "--source", "trail"],
    ],
)
def test_wrong_values_of_options_exit_with_2(
    args: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever the option, and before anything is done: 78 is for mistakes in the file."""
    assert cli.run([*args, "-c", str(config_file(tmp_path))]) == 2
    captured = capfd.readouterr()
    assert "Error: " in captured.err
    assert not captured.out


def test_check_tells_of_both_broken_geoip_databases(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A broken City database does not hide that the ASN database is missing."""
    (tmp_path / "city.mmdb").write_bytes(b"this is no database")
    text = f"{GOOD}enrich: {{geoip: {{city: {tmp_path}/city.mmdb, asn: {tmp_path}/asn.mmdb}}}}\n"
    assert cli.run(["check", "--offline", "-c", str(config_file(tmp_path, text))]) == 1
    out = capfd.readouterr().out
    assert "enrich.geoip.city: " in out
    assert "enrich.geoip.asn: " in out


def test_check_tells_of_each_list_of_indicators(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What a good one holds, and what is wrong with each of the others."""
    for name, content in (("good", "203.0.113.9\nhttp://x/y\n"), ("page", "<html>\n"), ("empty", "")):
        (tmp_path / name).write_text(content)
    paths = ", ".join(f"{{path: {tmp_path}/{name}}}" for name in ("good", "page", "empty", "gone"))
    text = f"{GOOD}enrich: {{indicators: [{paths}]}}\n"
    assert cli.run(["check", "--offline", "-c", str(config_file(tmp_path, text))]) == 1
    out = capfd.readouterr().out
    assert f"enrich.indicators[0]: {tmp_path}/good: 1 indicator, 1 of other kinds left out, 0 days old" in out
    assert f"enrich.indicators[1]: {tmp_path}/page: nothing in it is an indicator" in out
    assert f"remark   enrich.indicators[2]: {tmp_path}/empty: 0 indicators" in out
    assert f"enrich.indicators[3]: {tmp_path}/gone: No such file" in out


def test_setup_tells_of_a_server_that_is_away(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """An Elasticsearch that cannot be reached is a failure with its name, and no secret in it."""
    siem = "{type: elasticsearch, hosts: ['http://127.0.0.1:9'], api_key: canary-17}"  # the discard port: refused
    path = config_file(tmp_path, GOOD.replace("sinks: {", f"sinks: {{siem: {siem}, "))
    assert cli.run(["setup", "elasticsearch", "-c", str(path)]) == 1
    captured = capfd.readouterr()
    assert captured.err.startswith("siem: http://127.0.0.1:9 cannot be reached")
    assert "canary" not in captured.err
    assert not captured.out


def test_check_speaks_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Machines get the verdict and the problems, also of a configuration with mistakes."""
    assert cli.run(["check", "--offline", "--json", "-c", str(config_file(tmp_path))]) == 0
    assert json.loads(capfd.readouterr().out) == {"ok": True, "problems": [], "untried": ["sources.trail"]}
    assert cli.run(["check", "--json", "-c", str(config_file(tmp_path, "listen: off"))]) == 78
    told = json.loads(capfd.readouterr().out)
    assert told["ok"] is False
    assert [p["what"].partition(": ")[2] for p in told["problems"]] == ["sinks: is required", "sources: is required"]


def state(folder: Path) -> SqliteCheckpoints:
    return build.store(config.load(folder / "shipper.yaml"))


def filled_store(folder: Path) -> None:
    store = state(folder)
    item = S3Object("b", "AWSLogs/1/x.json.gz", 10, "e", 1_767_225_600.0)
    late = S3Object("b", "AWSLogs/1/\x1b.json.gz", 10, "e", 1_767_225_600.0)
    split = S3Split("s1", "trail", "AWSLogs/1/", "cloudtrail", (item, late))
    store.set_cursors("trail", {"": {"start": 0.0}, "AWSLogs/1/": {"hot": 1_767_225_600.0, "closed": 20_454.0}})
    store.pin([split])
    receipt = Receipt("s1", "trail", 5, 10, {"out": Tally(3, 1, 1, 0, 99)}, 1_767_225_600_000)
    store.settle(
        split,
        receipt,
        [(20_454, 1), (20_454, 2)],
        [Retry(late, "AWSLogs/1/", "cloudtrail", "missing", "404", 1, time.time())],
    )
    store.pin([split])
    store.close()


def test_checkpoints_show_says_what_is_done(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Cursors, days, pinned splits, retries and receipts are shown, safely, while a daemon holds the lock."""
    path = config_file(tmp_path)
    filled_store(tmp_path)
    daemon = state(tmp_path)
    try:
        assert cli.run(["checkpoints", "show", "-c", str(path)]) == 0
        out = capfd.readouterr().out
        assert cli.run(["checkpoints", "show", "--json", "-c", str(path)]) == 0
    finally:
        daemon.close()
    assert "    closed: before 2026-01-01\n    hot: 2026-01-01T00:00:00Z\n    2026-01-01: 2 done\n" in out
    assert "pinned: 1 split of 2 objects" in out
    assert (
        "→ out: 5 read = 3 delivered + 1 present + 1 filtered + 0 dead-lettered, newest event 2026-01-01T00:00:00Z"
        in out
    )
    assert "\x1b" not in out
    told = json.loads(capfd.readouterr().out)["trail"]
    assert told["scopes"]["AWSLogs/1/"]["open_days"] == {"2026-01-01": 2}
    assert told["receipts"]["out"]["read"] == 5
    assert len(told["retries"]) == 1


def test_checkpoints_reset_forgets_what_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Only a known source and scope can be forgotten, and receipts stay."""
    path = config_file(tmp_path)
    filled_store(tmp_path)
    reset = ["checkpoints", "reset", "-c", str(path), "--source"]
    assert cli.run([*reset, "tral", "--yes"]) == 2
    assert "has no source 'tral'; it has: trail" in capfd.readouterr().err
    assert cli.run([*reset, "trail", "--scope", "none", "--yes"]) == 1
    assert "has no scope 'none'" in capfd.readouterr().err
    assert cli.run([*reset, "trail", "--scope", "AWSLogs/1/", "--yes"]) == 0
    assert capfd.readouterr().out == "forgot 1 scope of source 'trail': shipped again from `start` on\n"
    store = state(tmp_path)
    assert list(store.cursors("trail")) == [""]
    assert store.pinned("trail") == []
    assert len(store.totals("trail")) == 1
    store.close()


def test_a_damaged_store_is_set_aside_by_the_command_that_its_message_names(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The hint of the damage works as it stands, and the next start finds an empty state."""
    path = config_file(tmp_path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "checkpoints.sqlite").write_bytes(b"not a database, " * 1000)
    assert cli.run(["checkpoints", "show", "-c", str(path)]) == 78
    assert "`shipper checkpoints reset --damaged`" in capfd.readouterr().err
    reset = ["checkpoints", "reset", "-c", str(path), "--damaged"]
    assert cli.run([*reset, "--source", "trail"]) == 2
    assert cli.run([*reset, "--yes"]) == 0
    assert ".damaged-" in capfd.readouterr().out
    assert cli.run([*reset, "--yes"]) == 0
    assert "there is no store" in capfd.readouterr().out
    assert [file.name.partition("-")[0] for file in (tmp_path / "state").glob("*.damaged-*")] == [
        "checkpoints.sqlite.damaged"
    ]


def test_checkpoints_reset_asks_and_respects_a_running_daemon(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --yes and without a yes nothing is forgotten; while a daemon runs, neither."""
    path = config_file(tmp_path)
    filled_store(tmp_path)
    reset = ["checkpoints", "reset", "-c", str(path), "--source", "trail"]
    with (tmp_path / "no").open("w+") as answer:
        answer.write("n\n")
        answer.seek(0)
        monkeypatch.setattr(sys, "stdin", answer)
        assert cli.run(reset) == 130
    daemon = state(tmp_path)
    try:
        assert cli.run([*reset, "--yes"]) == 78
        assert "uses the state" in capfd.readouterr().err
        assert daemon.cursors("trail")
    finally:
        daemon.close()


def test_dead_letters_are_shown_and_their_payload_only_on_request(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each letter is one safe line with origin and reason; only JSON holds the record; looking makes no file."""
    path = config_file(tmp_path)
    show = ["dead-letters", "show", "-c", str(path)]
    assert cli.run(show) == 0
    assert capfd.readouterr().out == "none\n"
    assert not (tmp_path / "state").exists()
    origin = Origin("s3://b/k")
    letters = [
        DeadLetter("trail", "", "s1", "cloudtrail", origin, None, "unreadable_object", "cut \x1b[31moff"),
        DeadLetter("trail", "out", "s1", "cloudtrail", origin, 7, "mapper_parsing", "no", b'{"body":1}\xff'),
    ]
    store = build.dead_letters(config.load(path))
    store.put(letters)
    store.close()
    assert cli.run(show) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].endswith("trail → every sink: s3://b/k: unreadable_object: cut \\x1b[31moff")
    assert lines[1].endswith("trail → out: s3://b/k record 7: mapper_parsing: no")
    assert lines[2] == "2 shown: 1 unreadable_object, 1 mapper_parsing"
    assert cli.run([*show, "--json", "--sink", "out"]) == 0
    (line,) = capfd.readouterr().out.splitlines()
    assert json.loads(line)["payload"] == '{"body":1}\\xff'


def test_setup_shows_the_role_that_the_credentials_need(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is contacted; what is printed are bodies for the security API, for this sink's namespace and mode."""
    sink = "{siem: {type: elasticsearch, hosts: ['https://nobody.invalid'], mode: strict}}"
    path = config_file(tmp_path, GOOD.replace("{out: {type: archive, path: archive}}", sink))
    assert cli.run(["setup", "elasticsearch", "-c", str(path), "--show-role"]) == 0
    shown = capfd.readouterr().out
    assert "PUT /_security/role/shipper-writer" in shown
    assert '"shipper-aws.*-default-*"' in shown
    assert '"create_doc"' in shown
    assert '"manage_index_templates"' in shown


def test_setup_needs_an_elasticsearch_sink(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A configuration without one, or without the named one, is told so."""
    path = config_file(tmp_path)
    assert cli.run(["setup", "elasticsearch", "-c", str(path), "--sink", "siem"]) == 2
    assert "has no Elasticsearch sink called 'siem'" in capfd.readouterr().err


def test_the_schema_command_prints_the_schema(capfd: pytest.CaptureFixture[str]) -> None:
    """`shipper config-schema` is what docs/config.schema.json is made with."""
    assert cli.run(["config-schema"]) == 0
    assert capfd.readouterr().out == schema_text()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_prints_a_script(shell: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Shells can complete commands and options."""
    assert cli.run(["completion", shell]) == 0
    assert "_SHIPPER_COMPLETE" in capfd.readouterr().out


def test_light_commands_import_nothing_heavy() -> None:
    """`shipper version`, help and the decoder's imports leave the AWS and HTTP libraries alone."""
    program = (
        "import sys; from shipper import cli; cli.run(['version']); cli.run(['decode', '--help']);"
        "import shipper.commands.decode, shipper.build;"
        "print(sorted({'boto3', 'botocore', 'elasticsearch', 'elastic_transport', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_it_runs_as_a_module() -> None:
    """`python -m shipper` is the same program, and exits with the command's code."""
    done = subprocess.run([sys.executable, "-m", "shipper", "rnu"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "No such command 'rnu'" in done.stderr
