"""What deploy/ holds is valid, and agrees with the program and with itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipper import cli, config
from shipper.aws import AwsSessions
from shipper.demo.organisation import Organisation
from shipper.demo.seed import SEED, main, reader_role
from shipper.demo.traffic import LOG_GROUP
from shipper.errors import ConfigError
from shipper.metrics import Metrics
from tests.parts import debian
from tests.parts.moto import Moto

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "shipper.service"
INSTALLED = "/opt/shipper/bin/shipper"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit as installed, with the program where it is on this machine."""
    path = tmp_path / "shipper.service"
    path.write_text(UNIT.read_text().replace(INSTALLED, str(Path(sys.executable).with_name("shipper"))))
    return path


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())
    return loaded


# systemd


def test_systemd_has_nothing_to_say_about_the_unit(unit: Path) -> None:
    """`systemd-analyze verify` exits with 0 even for unknown keys, so its silence is what counts."""
    analyze = debian.program("systemd-analyze", "systemd")
    done = run(analyze, "verify", unit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    unit.write_text(unit.read_text().replace("ProtectClock=", "ProtectClocks="))
    assert "ProtectClocks" in run(analyze, "verify", unit).stderr  # it would have said so


def test_the_service_is_exposed_to_little(unit: Path) -> None:
    """Its exposure is at most 2.0 of 10: it can reach the network and its state, and nothing else."""
    analyze = debian.program("systemd-analyze", "systemd")
    done = run(analyze, "security", "--offline=true", "--threshold=20", unit)
    assert done.returncode == 0, done.stdout


def test_the_unit_says_what_the_program_does() -> None:
    """Commands, exit codes and times of the unit are those of the program."""
    text = UNIT.read_text()
    for command in re.findall(rf"^Exec\w+={INSTALLED} (.*)$", text, re.MULTILINE):
        assert cli.run([*command.split()[:1], "--help"]) == 0
    assert f"RestartPreventExitStatus={cli.CONFIGURATION}\n" in text
    stop = re.search(r"^TimeoutStopSec=(\d+)s$", text, re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > config.Settings.model_fields["grace_seconds"].default
    assert "Type=notify\n" in text
    assert "WatchdogSec=" in text
    assert config.Settings.model_fields["state"].default.path == Path("/var/lib/shipper")
    assert "StateDirectory=shipper\n" in text


def test_a_credential_of_the_unit_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names in LoadCredential= are what the configuration writes; a stand-in is told as an empty secret."""
    names = re.findall(r"^LoadCredential=(\S+):", UNIT.read_text(), re.MULTILINE)
    assert re.findall(r"^SetCredential=(\S+):\\x20$", UNIT.read_text(), re.MULTILINE) == names
    folder = tmp_path / "credentials"
    folder.mkdir()
    for name in names:
        (folder / name).write_text(f"secret of {name}\n")
        (folder / name).chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    path = tmp_path / "shipper.yaml"
    path.write_text(
        "sources: {trail: {type: s3, bucket: my-trail}}\n"
        "sinks:\n"
        f"  siem: {{type: elasticsearch, hosts: ['https://es:9200'], api_key_file: {names[0]}}}\n"
        f"  splunk: {{type: splunk_hec, urls: ['https://splunk:8088'], token_file: {names[1]}}}\n"
    )
    path.chmod(0o600)
    assert set(config.load(path).secret_values()) == {f"secret of {name}" for name in names}
    (folder / names[0]).chmod(0o600)
    (folder / names[0]).write_text(" ")
    with pytest.raises(ConfigError, match=f"{names[0]} is empty"):
        config.load(path)


# containers


def test_compose_names_only_what_is_there() -> None:
    """Every file, image stage, volume, service and command of the composition exists."""
    stack = compose()
    stages = set(re.findall(r"^FROM \S+ AS (\w[\w-]*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    ours = {s["image"] for s in stack["services"].values() if "build" in s}
    for name, service in stack["services"].items():
        if "build" in service:
            assert (DEPLOY / service["build"]["context"]).resolve() == ROOT
            assert service["build"]["target"] in stages
        elif ":" not in service["image"]:
            assert service["image"] in ours, name
        else:
            assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), f"{name}: a version that does not move"
        for volume in service.get("volumes", ()):
            left = volume.partition(":")[0]
            assert (DEPLOY / left).is_file() if left.startswith(".") else left in stack["volumes"], volume
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name}: {port} is open to the network"
        for other, wanted in service.get("depends_on", {}).items():
            healthy = wanted["condition"] == "service_healthy"
            assert not healthy or "healthcheck" in stack["services"][other]


def test_composes_configuration_is_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`shipper check --offline` accepts what the container runs, and its addresses are services of the stack."""
    mounted = DEPLOY / "compose" / "shipper.yaml"
    path = tmp_path / "shipper.yaml"
    path.write_text(mounted.read_text().replace("/var/lib/shipper", str(tmp_path / "state")))
    path.chmod(0o600)
    assert cli.run(["check", "--offline", "-c", str(path)]) == 0, capsys.readouterr().err
    stack = compose()["services"]
    seen = re.findall(r"http://(\w+):(\d+)", mounted.read_text())
    assert seen == [("aws", "5000"), ("elasticsearch", "9200")]
    assert {host for host, _ in seen} <= stack.keys()
    assert "9464" in {port.split(":")[-1] for port in stack["shipper"]["ports"]}
    assert f"./{mounted.relative_to(DEPLOY)}:/etc/shipper/shipper.yaml:ro" in stack["shipper"]["volumes"]
    settings = config.load(path)
    assert settings.address == ("0.0.0.0", 9464)
    trail = settings.sources["trail"]
    assert isinstance(trail, config.S3Source)
    assert trail.bucket in stack["seed"]["command"]
    flow = settings.sources["flow"]
    assert isinstance(flow, config.CloudWatchLogsSource)
    assert (flow.log_groups, flow.aws.role_arn) == ([LOG_GROUP], reader_role())


def test_the_seed_command_fills_the_bucket(
    moto: Moto, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the composition's `seed` runs puts every object and flow log there, and can be run again."""
    command = compose()["services"]["seed"]["command"]
    bucket = command[command.index("--bucket") + 1]
    assert Organisation(SEED, datetime.now(UTC)).bucket == bucket
    monkeypatch.setattr("sys.argv", ["seed", "--endpoint", moto.url, "--bucket", bucket])
    main()
    first = moto.client("s3").list_objects_v2(Bucket=bucket)
    assert first["KeyCount"] > 200
    assert all(item["Key"].startswith("AWSLogs/") for item in first["Contents"])
    main()
    told = r"\d+ objects with [\d,]+ records\n([\d,]+) flow log records in lanternfish-vpc-flow\n"
    said = re.fullmatch(told * 2, capsys.readouterr().out)
    assert said is not None
    logs = AwsSessions(moto.settings(region="eu-central-1", role_arn=reader_role())).client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=LOG_GROUP)
    assert f"{sum(len(page['events']) for page in pages):,}" == said[1]  # once, however often it is seeded


def test_the_image_is_built_from_what_is_there_and_runs_as_nobody() -> None:
    """What the Dockerfile copies is there and not ignored; it installs by hash, as a user, with a health check."""
    text = (ROOT / "Dockerfile").read_text()
    allowed = {line.lstrip("!") for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert source.split("/")[0] in allowed, source
    for line in re.findall(r"pip install .*", text):
        assert "--require-hashes" in line or "--no-index" in line, line
    last = text[text.rindex("\nFROM ") :]
    assert " AS shipper\n" in last
    assert "USER 10001:10001" in last
    assert ":9464/healthz" in last[last.index("HEALTHCHECK") :]
    assert 'ENTRYPOINT ["shipper"]' in last


def test_docker_compose_accepts_the_file() -> None:
    """Docker's own reading of the file, where its plugin is installed; it needs no engine."""
    if shutil.which("docker") is None or run("docker", "compose", "version").returncode:
        pytest.skip("the compose plugin is not installed: test_compose_names_only_what_is_there stands in for it")
    done = run("docker", "compose", "-f", DEPLOY / "docker-compose.yml", "config", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


# Prometheus


def test_alerts_watch_metrics_that_exist() -> None:
    """Every metric that a rule asks for is the program's, and every alarm is in docs/operations.md."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    shown = {family.name + ("_total" if family.type == "counter" else "") for family in Metrics().registry.collect()}
    for rule in rules:
        assert set(re.findall(r"shipper_\w+", rule["expr"])) <= shown, rule["alert"]
    documented = re.findall(r"^\| `(Shipper\w+)` \|", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(rule["alert"] for rule in rules)


def test_promtool_accepts_configuration_and_rules() -> None:
    """Prometheus's own check finds nothing wrong, and each rule fires when it should."""
    promtool = debian.unpacked("promtool", "prometheus", "usr/bin/promtool")
    folder = DEPLOY / "prometheus"
    for arguments in (["check", "config", "prometheus.yml"], ["check", "rules", "alerts.yml"]):
        done = subprocess.run([promtool, *arguments], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    cases = ROOT / "tests" / "data" / "alerts.yml"
    done = run(promtool, "test", "rules", cases)
    assert done.returncode == 0, done.stdout + done.stderr
    tried = {
        case["alertname"] for test in yaml.safe_load(cases.read_text())["tests"] for case in test["alert_rule_test"]
    }
    assert len(tried) == len(re.findall(r"- alert:", (folder / "alerts.yml").read_text()))
