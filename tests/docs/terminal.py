"""A reader at work on one page: a copy of the book, a server in one window, and commands in another."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from scheduler.config import Settings
from scheduler.embedded import Services

from tests import prepared
from tests.docs.kinds import Kind, kind_of, within_a_container
from tests.docs.pages import ROOT, SHELLS, Block, Command, Page
from tests.end_to_end.commands import clean_environment, environment_of, grpcurl_path
from tests.patience import SECONDS, until_sync

ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
BIN = Path(sys.executable).parent
DEMO = "scheduler up --demo"
METRICS = "localhost:2112"
NOT_COPIED = (
    ".git",
    ".venv",
    ".data",
    ".workbook",
    ".*_cache",
    "__pycache__",
    ".ipynb_checkpoints",
    "node_modules",
)
QUICK = {"RETRY_BASE_SECONDS": "0.05", "POLL_SECONDS": "0.05", "WATCH_POLL_SECONDS": "0.1"}


@dataclass(frozen=True)
class Result:
    """What a command gave. What it wrote to its two outputs stands in `text`."""

    command: Command
    code: int
    text: str


def copy_of_the_book(folder: Path) -> Path:
    """A copy in which commands may write, and beside it what a student handed in."""
    shutil.copytree(ROOT, folder / "book", ignore=shutil.ignore_patterns(*NOT_COPIED))
    shutil.copytree(folder / "book" / "chapters", folder / "submissions" / "kim" / "chapters")
    return folder / "book"


def reader_s(environment: dict[str, str], book: Path) -> dict[str, str]:
    """An environment whose programs are this Python's, whose book is the copy, and in which no test run is noticed.

    What programs say is in English there, and `curl` and a page's own channels find this machine without a proxy.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith(("PYTEST_", "GIT_"))}
    programs = book.parent / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    if grpcurl_path() and not (programs / "grpcurl").exists():
        (programs / "grpcurl").symlink_to(str(grpcurl_path()))
    return {
        **kept,
        "PATH": os.pathsep.join([str(programs), str(BIN), os.environ["PATH"]]),
        "WORKBOOK_ROOT": str(book),
        "SCHEDULER_DATA": str(book.parent / "data"),
        "PYTHONUNBUFFERED": "1",
        "LC_ALL": "C.UTF-8",
        "no_proxy": "localhost,127.0.0.1",
        **{f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }


def put_prepared(name: str, folder: Path, environment: dict[str, str]) -> None:
    """A program that does what the installed one of this name does, and begins sooner."""
    words = prepared.python(environment, str(BIN / name))
    program = folder / name
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', "utf-8")
    program.chmod(0o755)


def two_free_ports() -> str:
    """The first of them: the worker's metrics are one port above the API's. For pages that ask for a port by number."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            with suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return str(port)


class Window:
    """A command that goes on until Ctrl-C."""

    def __init__(self, text: str, folder: Path, environment: dict[str, str]) -> None:
        self._file = folder / "window.txt"
        with self._file.open("wb") as output:
            self._process = subprocess.Popen(
                shlex.split(text),
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def text(self) -> str:
        return self._file.read_text("utf-8", "replace")

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until it has said this."""

        def look() -> re.Match[str] | None:
            ended = self._process.poll() is not None
            found = re.search(pattern, self.text)
            assert found or not ended, f"it ended without saying {pattern!r}:\n{self.text}"
            return found

        found = until_sync(look, lambda: f"it said {pattern!r}, after\n{self.text}")
        assert found is not None
        return found

    def ends(self) -> int:
        """Wait for its end; gives the exit code."""
        return self._process.wait(SECONDS)

    def ctrl_c(self) -> int:
        """Press Ctrl-C, and wait for its end; gives the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self.ends()

    def close(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()


class Terminal:
    """Plays the commands of one page from its beginning, each once, and keeps what they gave."""

    def __init__(self, page: Page, folder: Path, settings: Settings) -> None:
        self.page = page
        self.book = self.folder = copy_of_the_book(folder)
        self._environment = reader_s(environment_of(settings, **QUICK), self.book)
        for name in ("scheduler", "workbook"):
            put_prepared(name, self.book.parent / "bin", self._environment)
        self._results: dict[int, list[Result]] = {}
        self._window: Window | None = None
        self._served = ""
        self._port = self._id = self._token = ""
        if METRICS in page.text:
            self._environment["METRICS_PORT"] = two_free_ports()
        self._shown: dict[str, str] = {}

    @property
    def path(self) -> str:
        """Where it looks for programs."""
        return self._environment["PATH"]

    def play(self, wanted: Block) -> list[Result]:
        """Play the page up to this block; gives what the block's commands gave."""
        for block in self.page.blocks:
            if block.line not in self._results:
                self._results[block.line] = list(self._play(block))
            if block == wanted:
                return self._results[block.line]
        raise AssertionError(f"{wanted.place} is no block of {self.page.name}")

    def run(self, text: str, line: int = 0) -> Result:
        """Run one command in the second window."""
        text = self._with_what_was_printed(text)
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
        return self._remembered(
            Result(Command(line, text), done.returncode, done.stdout.decode("utf-8", "replace"))
        )

    def serve(self, text: str) -> Window:
        """Start a server in the first window, in the place of the one that runs there."""
        if self._window is not None and self._served == text:
            return self._window
        self.close()
        self._window, self._served = Window(text, self.book, self._environment), text
        self._port = self._window.until(r"(?:Serving on|API +)\S* ?localhost:(\d+)")[1]
        if text == DEMO:
            self._window.until("Serving. Ctrl-C stops everything.")
        self._environment["SCHEDULER_ADDRESS"] = f"localhost:{self._port}"
        return self._window

    def close(self) -> None:
        """Press Ctrl-C in the first window."""
        if self._window is None:
            return
        window, self._window = self._window, None
        try:
            assert window.ctrl_c() == 0, window.text
            assert window.text.endswith("Stopped.\n"), window.text
        finally:
            window.close()

    def _play(self, block: Block) -> Iterator[Result]:
        if block.language == "python" and (name := re.search(r"`(\w+\.py)`:?$", self._above(block))):
            (self.book / name[1]).write_text(block.text, "utf-8")
        self.folder = self.book
        for command in block.commands if block.language in SHELLS else []:
            kind = kind_of(command.text)
            if command.text == "make run":
                venv.create(self.book / ".venv")
            if kind is Kind.SERVER:
                yield Result(
                    command, 0, self._served_once(DEMO if command.text == "make run" else command.text)
                )
            elif kind is Kind.LIVE:
                yield self._live(command)

    def _served_once(self, text: str) -> str:
        """What a server says. The demo takes some seconds, and a page may name it under several names."""
        if text != DEMO or text not in self._shown:
            self._shown[text] = self.serve(text).text
        return self._shown[text]

    def _live(self, command: Command) -> Result:
        text = within_a_container(command.text) or command.text
        if re.match(r"(scheduler|grpcurl|curl) ", text) and self._window is None:
            self.serve("scheduler up")
        if text.startswith("cd "):
            self.folder = (self.folder / text.removeprefix("cd ")).resolve()
        if "WatchJob" in text:
            return self._watched(command, text)
        result = self.run(text, command.line)
        return Result(command, result.code, result.text)

    def _watched(self, command: Command, text: str) -> Result:
        """A watch goes on until its job is cancelled, which is what the page does next."""
        window = Window(self._with_what_was_printed(text), self.folder, self._environment)
        try:
            window.until("JOB_STATE_")
            self.run(f"scheduler cancel {self._id}")
            window.until("JOB_STATE_CANCELLED")
            return Result(command, window.ends(), window.text)
        finally:
            window.close()

    def _with_what_was_printed(self, text: str) -> str:
        """The command with the id, the token and the ports that this reader was shown."""
        for pattern, value in (
            (r"localhost:8081", f"localhost:{self._port}"),
            (METRICS, f"localhost:{self._environment['METRICS_PORT']}"),
            (r'(?<="job_id": ")(…|the id that you got)', self._id),
            (r"the token that you got", self._token),
        ):
            text = re.sub(pattern, value, text)
        return text

    def _remembered(self, result: Result) -> Result:
        if re.match(r"(scheduler|grpcurl) .*[sS]ubmit", result.command.text) and (
            found := re.search(ID, result.text)
        ):
            self._id = found[0]
        if found := re.search(r'"next_page_token": "([^"]+)"', result.text):
            self._token = found[1]
        return result

    def _above(self, block: Block) -> str:
        lines = [line for number, line in self.page.prose if number < block.line and line.strip()]
        return lines[-1] if lines else ""


@contextmanager
def terminal(page: Page, folder: Path, settings: Settings) -> Iterator[Terminal]:
    """Leaving the block ends what was started."""
    opened = Terminal(page, folder, settings)
    try:
        yield opened
    finally:
        opened.close()
        shutil.rmtree(opened.book / ".venv", ignore_errors=True)


def for_tests_of(book: Path, services: Services) -> dict[str, str]:
    """An environment in which `pytest` tests chapters of the copy, on servers that run."""
    redis = f"redis://:{services.redis_password}@{services.redis_host}:{services.redis_port}"
    return reader_s(clean_environment(TEST_DATABASE_URL=services.database_url, TEST_REDIS_URL=redis), book)
