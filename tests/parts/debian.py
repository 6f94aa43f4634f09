"""Debian's packages, for programs that tests run: installed where that is allowed, or unpacked into the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.parts.cache import cache_folder, locked


class MissingPartError(RuntimeError):
    """A program that the tests need is not installed and cannot be; the message says what to install."""


def install(packages: list[str]) -> None:
    """Install packages, as root.

    Raises:
        MissingPartError: this user may not, or apt-get does not get them; with its own words.
    """
    wanted = " ".join(packages)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise MissingPartError(f"the tests run programs of Debian: install {wanted} and try again")
    _apt(["update", "-qq"], wanted)
    _apt(["install", "-y", "-qq", "--no-install-recommends", *packages], wanted)


def program(name: str, package: str) -> str:
    """Return the path of an installed program, after installing its package where it is missing.

    Raises:
        MissingPartError: as `install`.
    """
    if shutil.which(name) is None:
        install([package])
    found = shutil.which(name)
    if found is None:
        raise MissingPartError(f"Debian's package {package} holds no {name}")
    return found


def unpacked(name: str, package: str, inside: str) -> str:
    """Return the path of a program, unpacked from its package into the cache where it is not installed.

    Unpacking needs no root and starts no service.

    Args:
        inside: the program's place in the package, such as `usr/bin/promtool`.

    Raises:
        MissingPartError: apt-get is missing, or does not get the package.
    """
    found = shutil.which(name)
    return found or str(_unpacked(package) / inside)


def library(name: str, package: str) -> Path:
    """Return the path of a shared library, unpacked from its package into the cache; needs no root either.

    Raises:
        MissingPartError: as `unpacked`.
    """
    found = sorted(_unpacked(package).rglob(name))  # the folder bears the machine's name
    if not found:
        raise MissingPartError(f"Debian's package {package} holds no {name}")
    return found[0]


def _unpacked(package: str) -> Path:
    home = cache_folder() / f"debian-{package}"
    with locked("debian"):
        if not home.exists():
            with tempfile.TemporaryDirectory(prefix="unpack-", dir=cache_folder()) as folder:
                _fetch(package, Path(folder))
                (Path(folder) / "root").rename(home)  # whole or not at all
    return home


def _fetch(package: str, folder: Path) -> None:
    if shutil.which("apt-get") is None:
        raise MissingPartError(f"the tests run a program of Debian's package {package}: install it and try again")
    try:
        _apt(["download", "-qq", package], package, folder)
    except MissingPartError:
        if os.geteuid() != 0:
            raise
        _apt(["update", "-qq"], package)  # a fresh machine has no lists yet
        _apt(["download", "-qq", package], package, folder)
    (archive,) = folder.glob("*.deb")
    subprocess.run(["dpkg", "-x", archive, folder / "root"], check=True, timeout=120)


def _apt(command: list[str], wanted: str, folder: Path | None = None) -> None:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if command[0] == "download" and os.geteuid() == 0:  # apt would warn that its own user cannot write there
        command = ["-o", "APT::Sandbox::User=root", *command]
    done = subprocess.run(
        ["apt-get", *command], cwd=folder, env=quiet, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise MissingPartError(f"apt-get does not get {wanted}, install it by hand: {done.stderr[-2000:]}")
