"""`check` remarks on a role of another account that is assumed without an external id."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipper import build, cli, config
from shipper.model import Problem
from tests.parts.moto import Moto

OWN = "arn:aws:iam::123456789012:role/reader"
FOREIGN = "arn:aws:iam::999988887777:role/reader"


def write(folder: Path, moto: Moto, sources: str, enrich: str = "{}") -> Path:
    path = folder / "shipper.yaml"
    path.write_text(
        f"aws: {{region: us-east-1, endpoint_url: '{moto.url}'}}\nstate: {{path: {folder}/state}}\n"
        f"sources: {{{sources}}}\nsinks: {{a: {{type: archive, path: {folder}/archive}}}}\nenrich: {enrich}\n"
    )
    path.chmod(0o600)
    return path


def remarks(path: Path) -> list[Problem]:
    return [problem for _, probe in build.foreign_role_probes(config.load(path)) for problem in probe()]


@pytest.mark.parametrize(
    ("aws", "remarked"),
    [
        ("{}", False),
        (f"{{role_arn: '{OWN}'}}", False),
        (f"{{role_arn: '{FOREIGN}'}}", True),
        (f"{{role_arn: '{FOREIGN}', external_id: 'shipper-1'}}", False),
    ],
)
def test_a_foreign_role_without_external_id_is_remarked_on(
    aws: str, *, remarked: bool, tmp_path: Path, moto: Moto
) -> None:
    """The account of one's own credentials is asked for; a role within it needs none. It is no mistake."""
    path = write(tmp_path, moto, f"t: {{type: s3, bucket: my-trail, aws: {aws}}}")
    found = remarks(path)
    assert [problem.serious for problem in found] == [False] * remarked
    assert all("999988887777" in problem.what and "sts:ExternalId" in problem.hint for problem in found)


def test_every_way_to_name_a_role_counts(tmp_path: Path, moto: Moto) -> None:
    """A source's `roles`, and the role for Organizations."""
    sources = f"g: {{type: cloudwatch_logs, log_groups: [x], roles: ['{OWN}', '{FOREIGN}']}}"
    found = remarks(write(tmp_path, moto, sources, f"{{accounts: {{role_arn: '{FOREIGN}'}}}}"))
    wheres = sorted(problem.where for problem in found)
    assert wheres == ["enrich.accounts.external_id", "sources.g.999988887777.aws.external_id"]


def test_check_says_so(tmp_path: Path, moto: Moto, capsys: pytest.CaptureFixture[str]) -> None:
    """At the terminal, beside the part that it is about; where AWS does not answer there is no remark."""
    cli.run(
        ["check", "-c", str(write(tmp_path, moto, f"t: {{type: s3, bucket: b-x, aws: {{role_arn: '{FOREIGN}'}}}}"))]
    )
    assert "no external id is given" in capsys.readouterr().out
    path = write(tmp_path, moto, f"t: {{type: s3, bucket: my-trail, aws: {{role_arn: '{FOREIGN}'}}}}")
    path.write_text(path.read_text().replace(moto.url, "http://127.0.0.1:9"))
    assert remarks(path) == []


def test_external_ids_are_hidden_like_other_secrets(tmp_path: Path, moto: Moto) -> None:
    """Wherever they stand in the configuration."""
    path = write(
        tmp_path,
        moto,
        f"t: {{type: s3, bucket: my-trail, aws: {{role_arn: '{FOREIGN}', external_id: 'cAn4ry-one'}}}}",
        f"{{accounts: {{role_arn: '{FOREIGN}', external_id: 'cAn4ry-two'}}}}",
    )
    settings = config.load(path)
    assert {"cAn4ry-one", "cAn4ry-two"} <= set(settings.secret_values())
    assert "cAn4ry" not in repr(settings)
