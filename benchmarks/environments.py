"""A virtual environment for each group of peers: no two of the groups agree about redis-py."""

import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.catalogue import Entry

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements"
ENVIRONMENTS = HERE / ".venv"


class SetupFailed(Exception):
    """An environment could not be set up."""


def python_of(entry: Entry) -> Path:
    """The Python that the queue runs in."""
    return Path(sys.executable) if entry.environment is None else _python(ENVIRONMENTS / entry.environment)


def set_up(entries: Iterable[Entry], say: Callable[[str], None]) -> None:
    """Make the environments that these queues need and that are not there yet. Raises `SetupFailed`."""
    for name in sorted({entry.environment for entry in entries if entry.environment is not None}):
        folder = ENVIRONMENTS / name
        requirements = REQUIREMENTS / f"{name}.txt"
        wanted = requirements.read_text(encoding="utf-8")
        done = folder / "installed.txt"
        if done.exists() and done.read_text(encoding="utf-8") == wanted:
            continue
        say(f"Setting up {folder.relative_to(HERE.parent)}; this takes a minute the first time …")
        venv.create(folder, with_pip=True, clear=True)
        _install(folder, requirements)
        done.write_text(wanted, encoding="utf-8")


def _install(folder: Path, requirements: Path) -> None:
    command = [str(_python(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "-r", str(requirements)],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise SetupFailed(f"{requirements.name} can't be installed: {last}")


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
