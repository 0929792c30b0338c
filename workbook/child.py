"""A test run in a process of its own, which can be ended at any moment and never outlives this one.

Its output comes through us: what a run says while it is being ended is nobody's concern.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from scheduler.cli.show import in_colour

from workbook.book import ROOT, Chapter

END_SECONDS = 5.0


class Child:
    """`python -m workbook.testrun`. Calls `ended` with the exit code, in a thread, when the run is over."""

    def __init__(
        self, chapter: Chapter, stretch: bool, everything: bool, ended: Callable[["Child", int], None]
    ) -> None:
        command = [sys.executable, "-m", "workbook.testrun", chapter.name, "--with-parent"]
        command += ["--stretch"] * stretch + ["--all"] * everything
        command += ["--colour"] * in_colour(sys.stdout)
        # A group of its own: Ctrl-C reaches us alone, and we end it once, not twice.
        group: dict[str, Any] = {"process_group": 0}
        if sys.platform == "win32":
            group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        self.chapter = chapter
        self._is_over = False
        self._ended = ended
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "COLUMNS": str(shutil.get_terminal_size().columns)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **group,
        )
        threading.Thread(target=self._follow, daemon=True).start()

    def end(self) -> None:
        """End it: kindly first, so that it takes down what it has set up; by force after 5 s. `ended` is not called."""
        self._is_over = True
        if self._process.poll() is None:
            with suppress(OSError):
                if sys.platform == "win32":
                    self._process.terminate()
                else:
                    self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def _follow(self) -> None:
        copying = threading.Thread(target=self._copy, daemon=True)
        copying.start()
        code = self._process.wait()
        copying.join(1)  # a process that the learner's code has left may hold the pipe for ever
        if not self._is_over:
            self._ended(self, code)

    def _copy(self) -> None:
        assert self._process.stdout is not None
        while chunk := os.read(self._process.stdout.fileno(), 65_536):
            if not self._is_over:
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()


def end_with_parent() -> None:
    """In the child: end this process as soon as its parent is gone. The kernel closes the pipe, kill -9 included."""
    pipe = os.dup(0)  # pytest takes standard input for itself
    threading.Thread(target=_watch, args=[pipe], daemon=True).start()


def _watch(pipe: int) -> None:
    with suppress(OSError):
        while os.read(pipe, 4096):
            pass
    os._exit(1)
