"""The processes of a queue: started, held still while jobs are submitted, let go all at once, and ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

HOLDER = Path(__file__).with_name("holder.py")


class Ended(Exception):
    """A process ended although nobody asked it to."""


class Held:
    """One process with a holder. `group` is its process group, and its session."""

    def __init__(self, command: Sequence[str], log: IO[bytes]) -> None:
        self._holder = subprocess.Popen(
            [sys.executable, "-I", "-S", str(HOLDER), sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # a Ctrl-C in the terminal is for the runner alone
        )
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._pipe = self._holder.stdin
        self.group = int(self._holder.stdout.readline())

    def check(self) -> None:
        """Raise `Ended` if it has ended."""
        if self._holder.poll() is not None:
            raise Ended(f"a process of the queue ended by itself with code {self._holder.returncode}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and to all that it started. Raises `Ended`."""
        self.check()
        os.killpg(self.group, number)

    def close(self) -> None:
        """End it, and wait until it is gone."""
        self._pipe.close()
        self._holder.wait()


class Workers:
    """Some processes of one kind."""

    def __init__(self, commands: Sequence[Sequence[str]], log: IO[bytes]) -> None:
        self._held: list[Held] = []
        try:
            for command in commands:
                self._held.append(Held(command, log))
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._held)

    def hold_still(self) -> None:
        """Stop the processes where they stand."""
        self._signal(signal.SIGSTOP)

    def let_go(self) -> None:
        """Let them run on."""
        self._signal(signal.SIGCONT)

    def check(self) -> None:
        """Raise `Ended` if one of them has ended."""
        for held in self._held:
            held.check()

    def close(self) -> None:
        """End all of them."""
        for held in self._held:
            held.close()

    def _signal(self, number: signal.Signals) -> None:
        for held in self._held:
            held.signal(number)
