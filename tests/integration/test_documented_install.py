"""The documented installation runs as written, and the documented images are what the Dockerfile builds from."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "a" * 64


def block(page: str, first: str) -> list[str]:
    """The lines of the code block of a page that begins with a line."""
    text = (ROOT / page).read_text()
    (found,) = (part for part in re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL) if first in part)
    return [line.strip() for line in found.splitlines() if not line.strip().startswith("#")]


def installing(page: str) -> list[str]:
    return [
        line for line in block(page, "python3 -m venv /opt/shipper") if "/opt/shipper" in line and "ln -s" not in line
    ]


def test_both_pages_install_alike() -> None:
    """README.md and docs/deployment.md say the same."""
    assert installing("README.md") == [
        line for line in installing("docs/deployment.md") if "pip" in line or "venv" in line
    ]


@pytest.mark.timeout(900)
def test_the_documented_installation_fetches_nothing_without_a_hash(tmp_path: Path) -> None:
    """Each line runs in a fresh environment; what is built, is built with no index to fetch from."""
    for line in installing("README.md"):
        if "./native" in line and shutil.which("cargo") is None:
            continue
        command = line.replace("/opt/shipper", str(tmp_path / "venv"))
        if "--require-hashes" not in line:
            command = f"export PIP_NO_INDEX=1; {command}"
        done = subprocess.run(["bash", "-ec", command], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    environment = {name: value for name, value in os.environ.items() if name != "SHIPPER_NATIVE"}
    version = subprocess.run(
        [tmp_path / "venv" / "bin" / "shipper", "version"], env=environment, capture_output=True, text=True, check=True
    )
    assert ("without native module" in version.stdout) == (shutil.which("cargo") is None)


def bases(arguments: dict[str, str]) -> dict[str, str]:
    """Return the image that each stage begins with, with arguments as `docker build --build-arg` sets them."""
    text = (ROOT / "Dockerfile").read_text()
    head = text[: text.index("\nFROM ") + 1]  # arguments that FROM may use stand before the first one
    known = dict(re.findall(r"^ARG (\w+)=(\S+)$", head, re.MULTILINE)) | arguments
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", text, re.MULTILINE)
    assert len(stages) == len(re.findall(r"^FROM ", text, re.MULTILINE | re.IGNORECASE))
    made = {stage for _, stage in stages}
    found = {}
    for image, stage in stages:
        if image not in made:
            argument = re.fullmatch(r"\$\{(\w+)\}", image)
            assert argument, f"{image} comes from no argument: it cannot be pinned"
            found[stage] = known[argument[1]]
    return found


def test_each_base_image_can_be_pinned_by_its_digest() -> None:
    """With the arguments that docs/deployment.md writes, every stage begins with an image by digest."""
    (line,) = (line for line in block("docs/deployment.md", "--build-arg") if line.startswith("docker build "))
    arguments = dict(re.findall(r"--build-arg (\w+)=(\S+)", line.replace("sha256:…", DIGEST)))
    assert all(image.endswith(f"@{DIGEST}") for image in bases(arguments).values())
    defaults = bases({})
    assert {image.partition("@")[0] for image in bases(arguments).values()} == set(defaults.values())


def test_no_image_is_copied_from_or_fetched_otherwise() -> None:
    """Stages copy from stages of this file; nothing is downloaded past pip's hashes and Debian's signatures."""
    text = (ROOT / "Dockerfile").read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))
    assert set(re.findall(r"--from=(\S+)", text)) <= stages
    assert not re.search(r"\b(?:curl|wget|git clone)\b|^ADD ", text, re.MULTILINE)
