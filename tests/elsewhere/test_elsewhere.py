"""The book on somebody else's machine: another folder, locale, time zone and umask, a web proxy that goes nowhere.

A small part of everything runs there, in a copy whose path has a space and an umlaut. The environment is that of the
tests with all of these at once, for what breaks under one of them breaks under all.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.terminal import NOT_COPIED, Window
from tests.patience import COMMAND_SECONDS

ROOT = Path(__file__).parents[2]
PROXY = "http://127.0.0.1:9"
PROXIES = {
    name: PROXY
    for kind in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")
    for name in (kind, kind.upper())
}
SHELL = {
    "TZ": "Asia/Kathmandu",
    "CDPATH": "/tmp:/",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "COLUMNS": "40",
    "LINES": "10",
}
CAREFUL = {"PYTHONWARNDEFAULTENCODING": "1", "PYTHONWARNINGS": "default::EncodingWarning"}
"""Latin-1 reads anything, wrongly: let Python say which file was read as the locale wants it."""

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="umask and locales of POSIX"),
    pytest.mark.xdist_group("elsewhere"),
]


@dataclass(frozen=True)
class Elsewhere:
    """A copy of the book, and the environment there."""

    book: Path
    environment: dict[str, str]

    def run(self, *command: str) -> "subprocess.CompletedProcess[bytes]":
        """Run `python -m …` to its end."""
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.book,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            umask=0o077,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert b"Traceback" not in done.stdout, done.stdout.decode("latin-1")
        assert b"\x1b" not in done.stdout, "no colours where none are wanted"
        lines = done.stdout.decode("latin-1").splitlines()
        assert [line for line in lines if "EncodingWarning" in line and "site-packages" not in line] == []
        return done

    def says(self, *command: str) -> str:
        """What `python -m …` writes; it must end well."""
        done = self.run(*command)
        text = done.stdout.decode("latin-1")
        assert done.returncode == 0, text
        return text


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    # A folder that every user may enter, for root's servers run as another.
    top = Path(tempfile.mkdtemp(prefix="elsewhere-"))
    try:
        book = top / "ein Ordner mit ü"
        shutil.copytree(ROOT, book, ignore=shutil.ignore_patterns(*NOT_COPIED))
        (book / ".data").mkdir()
        for folder in (top, book, book / ".data"):
            folder.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if name not in ("LANG", "PYTHONIOENCODING")}
        own = {"PYTHONPATH": f"{book / 'reference'}{os.pathsep}{book}", "SCHEDULER_DATA": str(book / ".data")}
        yield Elsewhere(book, {**kept, **PROXIES, **SHELL, **CAREFUL, **own, **another_locale(top)})
    finally:
        shutil.rmtree(top, ignore_errors=True)


def another_locale(folder: Path) -> dict[str, str]:
    """German in Latin-1, in which the letters of a path are others; where none can be made, ASCII."""
    name = "de_DE.ISO-8859-1"
    if shutil.which("localedef"):
        subprocess.run(
            ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", folder / name], capture_output=True, check=False
        )
    if (folder / name).is_dir():
        return {"LOCPATH": str(folder), "LC_ALL": name}
    # Python makes UTF-8 of the locale C, unless it is told not to.
    return {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture(scope="module")
def up(elsewhere: Elsewhere) -> Iterator[str]:
    """The address of a whole system that runs there."""
    environment = {**elsewhere.environment, "GRPC_PORT": "0", "METRICS_PORT": "0"}
    command = f"sh -c 'umask 077; exec \"{sys.executable}\" -m scheduler up --demo'"
    window = Window(command, elsewhere.book, environment)
    try:
        window.until(r"Serving\.")
        assert re.search("always_fail +high +deadletter", window.text), window.text
        yield window.until(r"--address (localhost:\d+)")[1]
        assert window.ctrl_c() == 0
    finally:
        window.close()


def test_commands_reach_the_system(elsewhere: Elsewhere, up: str) -> None:
    text = elsewhere.says("scheduler", "submit", "noop", "--watch", "--address", up)
    assert "attempt 1 succeeded" in text
    assert "always_fail" in elsewhere.says("scheduler", "list", "--address", up)
    assert "jobs" in elsewhere.says("scheduler", "call", "ListJobs", "{}", "--address", up)
    assert elsewhere.says("scheduler", "redis", "PING").strip() == "PONG"
    # What this terminal's encoding lacks is written in ASCII, and what it has is as it should be.
    assert "ü" in elsewhere.says("scheduler", "sql", "SELECT 'ü'").replace("\u00c3\u00bc", "ü")


@pytest.mark.usefixtures("up")
def test_the_tests_of_chapters_and_of_the_whole_pass(elsewhere: Elsewhere) -> None:
    whole = "test_a_job_goes_from_submit_to_its_end_and_a_watch_tells_of_it"
    text = elsewhere.says(
        *("pytest", "-q", "--implementation", "reference"),
        *("chapters/01_queue", "chapters/02_getjob", f"tests/end_to_end/test_whole.py::{whole}"),
    )
    assert re.search(r"\d+ passed", text)


def test_the_companion_says_what_is_next(elsewhere: Elsewhere) -> None:
    assert "chapters/01_queue/job_queue.py:" in elsewhere.says("workbook")
    done = elsewhere.run("workbook", "test", "01")
    assert done.returncode == 1
    assert b"Not written yet" in done.stdout
    assert "Hint 1 of 3" in elsewhere.says("workbook", "hint", "01")
