"""What `workbook doctor` looks at on this machine. Each check is one line: all right, or wrong with its remedy."""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from workbook.book import ROOT
from workbook.progress import FOLDER

PYTHON = (3, 11)
SPACE_MB = 300
INSTALL = "pip install -c constraints.txt -e ."


@dataclass(frozen=True)
class Check:
    """One line of the doctor. `remedy` is empty if all is right."""

    name: str
    says: str
    remedy: str = ""


def python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Check:
    """Whether this Python is new enough."""
    text = ".".join(map(str, version))
    if version[:2] < PYTHON:
        return Check("Python", f"{text} is too old", "make a new .venv with Python 3.11 or newer")
    return Check("Python", f"{text}, {sys.executable}")


def packages() -> Check:
    """Whether every package that pyproject.toml asks for is there, in a version that it allows."""
    from packaging.requirements import Requirement

    wanted = [Requirement(text) for text in _requirements()]
    wrong = []
    for one in wanted:
        if one.marker is not None and not one.marker.evaluate():
            continue
        try:
            version = metadata.version(one.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{one.name} is missing")
            continue
        if not one.specifier.contains(version, prereleases=True):
            wrong.append(f"{one.name} is {version}, and not {one.specifier}")
    if wrong:
        more = f", and {len(wrong) - 2} more" if len(wrong) > 2 else ""
        return Check("packages", f"{', '.join(wrong[:2])}{more}", INSTALL)
    return Check("packages", f"{len(wanted)} are here, in versions that fit")


def _requirements() -> list[str]:
    import tomllib

    with suppress(OSError, ValueError, LookupError):
        texts: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
            "dependencies"
        ]
        return texts
    return [text for text in metadata.requires("scheduler-workbook") or [] if "extra ==" not in text]


def git() -> Check:
    """Whether git is there and knows this folder: `workbook reset` asks it for the skeletons."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--is-inside-work-tree"],
            cwd=ROOT,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return Check("git", "is not here", "install it from git-scm.com; workbook reset asks it")
    if done.returncode != 0:
        if "dubious ownership" in done.stderr:
            remedy = f"git config --global --add safe.directory {ROOT}"
            return Check("git", "does not trust this folder, which belongs to another user", remedy)
        remedy = "git init && git add . && git commit -m start, before you write anything"
        return Check("git", "does not know this folder", remedy)
    return Check("git", "knows this folder")


def progress_folder() -> Check:
    """Whether progress can be remembered."""
    if why := _why_not_writable(FOLDER):
        return Check("progress", f"{FOLDER} can't be written ({why})", f"give it to your user: {FOLDER}")
    return Check("progress", f"is kept in {FOLDER}")


def data_folder() -> Check:
    """Whether the embedded services may write into their folder, and have space there."""
    from scheduler import embedded

    folder = embedded.default_folder()
    if why := _why_not_writable(folder):
        remedy = "name a folder of your own: SCHEDULER_DATA=~/scheduler-data"
        return Check("data", f"{folder} can't be written ({why})", remedy)
    free = shutil.disk_usage(_existing(folder)).free // 1_000_000
    if free < SPACE_MB:
        remedy = f"make {SPACE_MB} MB free, or name a folder elsewhere with SCHEDULER_DATA"
        return Check("data", f"only {free} MB are free in {folder}", remedy)
    return Check("data", f"{folder}, {_size(free)} free")


def _why_not_writable(folder: Path) -> str:
    """The reason, as the operating system puts it; empty if files can be written there."""
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    # os.path: Path.exists raises where we may not look.
    return next(path for path in (folder, *folder.resolve().parents) if os.path.exists(path))


def _size(megabytes: int) -> str:
    return f"{megabytes} MB" if megabytes < 10_000 else f"{megabytes // 1000} GB"
