"""A session that leaves something behind is red, and says what, and since which test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import SECONDS

ROOT = Path(__file__).parents[2]
LEAKS = {
    "process": (
        "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)",
        "the process ",
    ),
    "thread": ("import threading\nthreading.Timer(5, print).start()", "the thread "),
    "port": ("import builtins, socket\nbuiltins.kept = socket.create_server(('127.0.0.1', 0))", "the port "),
    "folder": ("import tempfile\ntempfile.mkdtemp(dir='.')", "the folder "),
    "claim": (
        "from workbook import left_over\nleft_over.found.append('the claim test-index:1')",
        "the claim test-index:1",
    ),
}


def run(folder: Path, text: str, *options: str) -> "subprocess.CompletedProcess[str]":
    (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
    body = "".join(f"    {line}\n" for line in text.splitlines())
    (folder / "test_some.py").write_text(f"def test_green():\n    pass\n\ndef test_leaks():\n{body}", "utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.leaks", *options],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), "PATIENCE_SECONDS": "0.2"},
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.parametrize("name", LEAKS)
def test_what_is_left_is_named(tmp_path: Path, name: str) -> None:
    text, says = LEAKS[name]
    done = run(tmp_path, text)
    assert done.returncode == 1, done.stdout
    assert "left behind" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(says)]
    if name in ("process", "thread", "folder"):
        assert "test_some.py::test_leaks" in line


def test_in_another_process_of_xdist_too(tmp_path: Path) -> None:
    done = run(tmp_path, LEAKS["folder"][0], "-n", "2")
    assert done.returncode == 1, done.stdout
    assert "test_some.py::test_leaks" in done.stdout.partition("left behind")[2]


def test_nothing_is_said_where_nothing_is_left(tmp_path: Path) -> None:
    done = run(tmp_path, "import tempfile\nwith tempfile.TemporaryDirectory():\n    pass")
    assert (done.returncode, "left behind" in done.stdout) == (0, False), done.stdout
