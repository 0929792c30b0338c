"""A terminal of 80 by 24 with a command in it, that a test reads and types into."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from types import TracebackType

from tests.patience import end, until_sync
from tests.workbook.books import Book


class Terminal:
    """Starts `workbook …` as the only process of a terminal. Leaving the block ends it."""

    def __init__(self, book: Book, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.settings = termios.tcgetattr(theirs)
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWN_TERMINAL, *arguments],
            cwd=book.root,
            env={**book.env, "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        self._theirs = theirs  # kept open, so that its settings can be read after the end
        self.said = ""

    def until(self, text: str) -> str:
        """Read until this text comes, and return what came with it."""
        seen: list[str] = []

        def look() -> bool:
            seen.append(self._read())
            return text in "".join(seen)

        until_sync(look, lambda: f"{text!r} came, after\n{self.said}")
        return "".join(seen)

    def press(self, keys: str) -> None:
        """Type these keys."""
        os.write(self._ours, keys.encode())

    def wait(self) -> int:
        """Wait for the end of the command, and return its exit code."""

        def look() -> bool:
            ended = self.process.poll() is not None
            self._read()
            return ended

        until_sync(look, lambda: f"it ended, after it said\n{self.said}")
        return self.process.returncode

    def is_as_found(self) -> bool:
        """Whether the terminal's settings are again those of the beginning."""
        return termios.tcgetattr(self._theirs) == self.settings

    def descendants(self) -> set[int]:
        """The processes that the command has started, and theirs."""
        parents = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat", "rb") as file:
                    parents[int(pid)] = int(file.read().rpartition(b") ")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found - {self.process.pid}

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                self.wait()
        finally:
            end(self.process)
            os.close(self._ours)
            os.close(self._theirs)

    def _read(self) -> str:
        ready, _, _ = select.select([self._ours], [], [], 0.1)
        text = os.read(self._ours, 65_536).decode("utf-8", "replace") if ready else ""
        text = text.replace("\r\n", "\n")
        self.said += text
        return text


# Makes the terminal the process's own, as a login does: only then does it send it the signal of Ctrl-C.
OWN_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from workbook.cli import main
main()
"""
