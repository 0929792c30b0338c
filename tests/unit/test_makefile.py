"""The Makefile: a Python that can't make a virtual environment, tried with Pythons that only pretend; random order."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.patience import SECONDS

ROOT = Path(__file__).parents[2]
DEBIAN = "The virtual environment was not created successfully because ensurepip is not\navailable.  On Debian/Ubuntu…"
NO_MODULE = "/usr/bin/python3: No module named venv"
FULL = "Error: [Errno 28] No space left on device"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

# A Python of the right age, whose venv may fail half way. The one that it makes notes what it is asked to install.
PYTHON = """#!/bin/sh
case "$*" in
  "-c import sys"*) exit {too_old};;
  "-m venv "*)
    echo venv >>asked
    mkdir -p "$3/bin"
    echo "$PRETEND" >"$3/bin/python"
    chmod +x "$3/bin/python"
    if [ -n "{says}" ]; then rm -f "$3/bin/pip"; echo "{says}"; exit 1; fi
    touch "$3/bin/pip";;
esac
"""
IN_VENV = """#!/bin/sh
case "$*" in
  "-c import pip") test -e .venv/bin/pip;;
  "-m pip install"*) echo pip >>asked;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "options"), [("", ""), ("RANDOM=1", "--shuffle=any"), ("RANDOM=4711", "--shuffle=4711")]
)
def test_random_order_reaches_pytest(folder: Path, given: str, options: str) -> None:
    with (folder / "Makefile").open("a", encoding="utf-8") as file:
        file.write('\nshow:\n\t@echo "$$PYTEST_ADDOPTS"\n')
    command = ["make", "--no-print-directory", "show", *given.split()]
    shown = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=True)
    assert shown.stdout.strip() == options


@pytest.mark.parametrize(("layer", "believes"), [("quick", True), ("test", True), ("prove", False)])
def test_all_layers_but_one_believe_what_was_proved(folder: Path, layer: str, believes: bool) -> None:
    command = ["make", "--dry-run", layer]
    shown = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=True)
    (proofs,) = [
        line
        for line in shown.stdout.splitlines()
        if " tests/chapters " in f"{line} " and "--ignore tests/ch" not in line
    ]
    assert ("--remembered" in proofs) is believes


def make(folder: Path, says: str = "", too_old: int = 0) -> "subprocess.CompletedProcess[str]":
    """Run `make .venv/.installed` with a Python whose venv says this and fails, or works if it says nothing."""
    python = folder / "python3"
    python.write_text(PYTHON.format(says=says, too_old=too_old), "utf-8")
    python.chmod(0o755)
    return subprocess.run(
        ["make", f"PYTHON={python}", ".venv/.installed"],
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "PRETEND": IN_VENV},
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )


def asked(folder: Path) -> list[str]:
    return (folder / "asked").read_text("utf-8").split()


def test_a_python_that_works_makes_one_and_installs_into_it(folder: Path) -> None:
    assert make(folder).returncode == 0
    assert asked(folder) == ["venv", "pip"]


@pytest.mark.parametrize("says", [DEBIAN, NO_MODULE])
def test_a_python_without_venv_gets_one_sentence_with_the_remedy(folder: Path, says: str) -> None:
    done = make(folder, says)
    assert done.returncode == 2
    announced, sentence = done.stdout.splitlines()
    assert announced.startswith("==> setting up .venv")
    for remedy in ("apt install python3-venv", "uv venv --seed .venv", "make PYTHON=python3.12 run"):
        assert remedy in sentence
    assert not (folder / ".venv").exists()


def test_the_next_try_works(folder: Path) -> None:
    make(folder, DEBIAN)
    assert make(folder).returncode == 0
    assert asked(folder) == ["venv", "venv", "pip"]


def test_another_failure_is_told_in_its_own_words(folder: Path) -> None:
    done = make(folder, FULL)
    assert done.returncode == 2
    assert FULL in done.stdout
    assert "apt" not in done.stdout
    assert not (folder / ".venv").exists()


def test_one_without_pip_is_finished_and_not_removed_where_that_fails(folder: Path) -> None:
    """An interrupted try leaves such a one, and so does `uv venv`."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "mine").touch()
    assert make(folder, DEBIAN).returncode == 2
    assert (folder / ".venv" / "mine").exists()
    assert make(folder).returncode == 0
    assert asked(folder) == ["venv", "venv", "pip"]
    assert (folder / ".venv" / "mine").exists()


def test_one_that_is_whole_is_used(folder: Path) -> None:
    make(folder)
    (folder / ".venv" / ".installed").unlink()
    assert make(folder).returncode == 0
    assert asked(folder) == ["venv", "pip", "pip"]


def test_an_old_python_gets_one_sentence(folder: Path) -> None:
    done = make(folder, too_old=1)
    assert done.returncode == 2
    assert done.stdout == (
        "Python 3.11 or newer is needed. If you have one under another name: make PYTHON=python3.12 run\n"
    )
