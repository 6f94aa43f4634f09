"""What the documentation claims is there: dependencies, metrics, tests, files."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from shipper.metrics import Metrics

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAME = re.compile(r"[A-Za-z0-9._-]+")


def normal(requirement: str) -> str:
    """A requirement's package, as PyPI compares names."""
    found = NAME.match(requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def first_cells(page: str) -> set[str]:
    """What the first column of a page's tables names, without the heads."""
    rows = re.findall(r"^\| ([^|]+?) \|", (ROOT / "docs" / page).read_text(), re.MULTILINE)
    return {name for row in rows for name in row.split(", ")}


def test_every_dependency_has_its_reason() -> None:
    """docs/dependencies.md names exactly what pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for extra in project["project"]["optional-dependencies"].values():
        asked += extra
    assert first_cells("dependencies.md") - {"package"} == {normal(requirement) for requirement in asked}


def test_requirements_are_locked_with_hashes_and_agree() -> None:
    """Everything that pyproject.toml needs at run time is locked with hashes, in one version for all purposes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {normal(requirement) for requirement in project["project"]["dependencies"]}
    pins: dict[str, set[str]] = {}
    for name in ("dev", "runtime", "demo", "parquet", "build"):
        blocks = re.split(r"\n(?=\S)", (ROOT / "requirements" / f"{name}.txt").read_text())
        assert all("==" in block and "--hash=sha256:" in block for block in blocks)
        pins[name] = {block.split(" ")[0] for block in blocks}
        assert name == "build" or needed <= {normal(pin) for pin in pins[name]}
    assert pins["runtime"] | pins["demo"] | pins["parquet"] | pins["build"] <= pins["dev"]


def test_documented_installs_are_locked_with_hashes() -> None:
    """No page, hint or file that builds has pip fetch anything that a hash does not name, build tools included."""
    files = [*PAGES, ROOT / "Makefile", ROOT / "Dockerfile", *(ROOT / "shipper").rglob("*.py")]
    lines = [line for file in files for line in re.findall(r"pip (?:install|wheel) [^\n;`]+", file.read_text())]
    assert len(lines) > 10
    for line in lines:
        built = "--no-deps" in line and "--no-build-isolation" in line
        outside = "awscrt" in line  # Amazon's own, for one kind of access point; named in a hint
        assert outside or built or "--require-hashes" in line or "--no-index" in line, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that is there, and every anchor a heading."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name) if name else page
        assert file.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}, target


def test_makefile_targets_that_pages_name_are_there() -> None:
    """`make WHAT` in a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"(?:`|^\s*)make ([a-z]+)", page.read_text(), re.MULTILINE)}
    assert named
    assert named <= targets


def test_commands_that_pages_name_are_there() -> None:
    """`shipper WHAT` in code is a command of the program."""
    listed = subprocess.run(
        [ROOT / ".venv" / "bin" / "shipper", "--help"], capture_output=True, text=True, check=True
    ).stdout.partition("Commands:")[2]
    known = set(re.findall(r"^  ([a-z-]+) ", listed, re.MULTILINE)) | {"config-schema"}
    code = [part for page in PAGES for part in re.findall(r"`shipper ([a-z-]+)", page.read_text())]
    lines = [part for page in PAGES for part in re.findall(r"^\s*shipper ([a-z-]+) ", page.read_text(), re.MULTILINE)]
    assert code
    assert set(code + lines) <= known


def test_every_guarantee_names_tests_that_exist() -> None:
    """Each row of docs/guarantees.md has a proof, and each proof is a test in its file."""
    page = (ROOT / "docs" / "guarantees.md").read_text()
    rows = [row for row in page.splitlines() if row.startswith("| ") and not row.startswith(("| failure", "| danger"))]
    assert len(rows) > 20
    for row in rows:
        proofs = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)
        assert proofs, row
        for file, name in proofs:
            text = (ROOT / file).read_text()
            assert re.search(rf"^ *def {name}\(", text, re.MULTILINE), f"{file}::{name}"


def test_every_metric_is_documented() -> None:
    """docs/operations.md has a row for each metric that the program can show, by the name that Prometheus sees."""
    registry = Metrics().registry
    shown = {family.name + {"counter": "_total", "info": "_info"}.get(family.type, "") for family in registry.collect()}
    rows = re.findall(r"^\| `(shipper_\w+)` \|", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == shown


def test_every_page_is_found_from_the_readme() -> None:
    """README.md links each page of docs/."""
    text = (ROOT / "README.md").read_text()
    assert not [page.name for page in (ROOT / "docs").glob("*.md") if f"](docs/{page.name})" not in text]
