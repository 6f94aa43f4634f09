"""Java for the servers that tests run: finds a JDK that is new enough, and fetches artifacts with Maven."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.parts.debian import MissingPartError, install

_DEBIAN_PACKAGES = ["maven", "openjdk-17-jdk-headless"]
_MAVEN_SECONDS = 600


def java_home(at_least: int) -> Path:
    """Return the home of the oldest installed JDK of this major version or a newer one.

    Looks at `/usr/lib/jvm` and `JAVA_HOME`. It must be a whole JDK: Elasticsearch 9 needs `jdk.jlink`, which the
    trimmed runtimes in Python wheels lack. Debian 12 itself has 17 only.

    Raises:
        MissingPartError: there is none.
    """
    found = sorted(_jdks(at_least))
    if not found and at_least <= 17:
        install(_DEBIAN_PACKAGES)
        found = sorted(_jdks(at_least))
    if not found:
        raise MissingPartError(
            f"the tests need a JDK of version {at_least} or newer, such as Eclipse Temurin's: install one under "
            "/usr/lib/jvm, or set JAVA_HOME to one"
        )
    return found[0][1]


def fetch(artifact: str, folder: Path) -> Path:
    """Copy a Maven artifact into a folder.

    Args:
        artifact: `group:name:version:packaging`, with a pinned version.
        folder: where it goes, as `name-version.packaging`.

    Returns:
        The file.

    Raises:
        MissingPartError: Maven is missing, or does not get the artifact; with Maven's own words.
    """
    _, name, version, packaging = artifact.split(":")
    file = folder / f"{name}-{version}.{packaging}"
    if file.exists():
        return file
    _maven(["dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"], folder, artifact)
    return file


def fetch_with_dependencies(artifacts: list[str], folder: Path) -> None:
    """Copy Maven artifacts, with all that they need to run, into an empty folder.

    Args:
        artifacts: `group:name:version`, with pinned versions.

    Raises:
        MissingPartError: as `fetch`.
    """
    wanted = [dict(zip(("groupId", "artifactId", "version"), a.split(":"), strict=True)) for a in artifacts]
    parts = ["".join(f"<{k}>{v}</{k}>" for k, v in one.items()) for one in wanted]
    (folder / "pom.xml").write_text(
        "<project><modelVersion>4.0.0</modelVersion><groupId>t</groupId><artifactId>t</artifactId><version>1</version>"
        f"<dependencies>{''.join(f'<dependency>{p}</dependency>' for p in parts)}</dependencies></project>"
    )
    _maven(["dependency:copy-dependencies", f"-DoutputDirectory={folder}"], folder, " ".join(artifacts))


def _maven(goal: list[str], folder: Path, wanted: str) -> None:
    if shutil.which("mvn") is None:
        install(_DEBIAN_PACKAGES)
    done = subprocess.run(
        ["mvn", "-B", "-q", *goal], cwd=folder, capture_output=True, text=True, timeout=_MAVEN_SECONDS, check=False
    )
    if done.returncode:
        raise MissingPartError(f"Maven does not get {wanted}: {(done.stdout + done.stderr)[-2000:]}")


def _jdks(at_least: int) -> Iterator[tuple[int, Path]]:
    homes = {path.resolve() for path in Path("/usr/lib/jvm").glob("*") if path.is_dir()}
    if os.environ.get("JAVA_HOME"):
        homes.add(Path(os.environ["JAVA_HOME"]).resolve())
    for home in homes:
        release = home / "release"
        said = re.search(r'JAVA_VERSION="(\d+)', release.read_text()) if release.exists() else None
        if said and int(said[1]) >= at_least and (home / "bin" / "java").exists():
            yield int(said[1]), home
