"""What passes only at its second try is named, noted and counted; what fails again stays red."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import SECONDS

ROOT = Path(__file__).parents[2]
# Each fails in its first run, and leaves a file by which it knows that there was one.
FLAKY = """
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range({number}))
def test_flaky(number):
    been = Path(__file__).with_name(f"been-{{number}}")
    if not been.exists():
        been.touch()
        raise ValueError("the machine was busy")
"""
GREEN = "def test_green():\n    pass\n"
RED = "def test_red():\n    raise ValueError('always')\n"


def run(folder: Path, text: str, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
    (folder / "test_some.py").write_text(GREEN + text, "utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TEST_RUN"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.second_try", *options],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )


def noted(folder: Path) -> list[str]:
    file = folder / ".flakes"
    return [line.split("  ", 1)[1] for line in file.read_text("utf-8").splitlines()] if file.exists() else []


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["in one process", "in several"])
def test_one_is_let_through_and_named(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = run(tmp_path, FLAKY.format(number=1), *options)
    assert done.returncode == 0, done.stdout
    assert "passed only at the second try" in done.stdout
    assert "test_some.py::test_flaky[0]\n    ValueError: the machine was busy" in done.stdout
    assert "1 in this run: that is let through" in done.stdout
    assert noted(tmp_path) == ["test_some.py::test_flaky[0]  ValueError: the machine was busy"]


def test_two_make_the_run_red(tmp_path: Path) -> None:
    done = run(tmp_path, FLAKY.format(number=2))
    assert done.returncode == 1, done.stdout
    assert "2 in this run: the run is red" in done.stdout
    assert len(noted(tmp_path)) == 2


def test_the_parts_of_one_run_are_counted_together(tmp_path: Path) -> None:
    codes = []
    for name in ("this", "this", "the next"):
        (tmp_path / "been-0").unlink(missing_ok=True)
        codes.append(run(tmp_path, FLAKY.format(number=1), TEST_RUN=name).returncode)
    assert codes == [0, 1, 0]
    assert len(noted(tmp_path)) == 3


def test_what_fails_again_is_no_flake(tmp_path: Path) -> None:
    done = run(tmp_path, RED + FLAKY.format(number=1))
    assert done.returncode == 1, done.stdout
    assert "once more, alone: test_some.py::test_red" in done.stdout
    assert noted(tmp_path) == ["test_some.py::test_flaky[0]  ValueError: the machine was busy"]


def test_a_green_run_leaves_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, "")
    assert (done.returncode, noted(tmp_path)) == (0, [])
    assert "second try" not in done.stdout


def test_a_broken_file_gets_no_second_try(tmp_path: Path) -> None:
    done = run(tmp_path, "import no_such_module\n")
    assert done.returncode == 2, done.stdout
    assert "once more" not in done.stdout
