"""Runs a learner's code where it can do little harm: own process group, little environment, limited time.

It is no jail. The code runs as the same user and can read what that user can. Whoever grades strangers does it in a
container or on a machine that is thrown away; docs/teaching.md says more.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEPT = (
    "PATH",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
    "COMSPEC",
    "PATHEXT",
)
"""What a Python process needs of our environment. No tokens, no keys, no proxies, no agents; and no
locale, so that an answer is judged the same everywhere."""
MARK = "WORKBOOK_GRADING"
START_SECONDS = 60.0
END_SECONDS = 10.0


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int | None
    """The exit code; None if it had to be ended."""
    output: str
    """The end of what it wrote."""


def run(
    command: list[str], cwd: Path, home: Path, seconds: float, extra: dict[str, str], begun: Path
) -> Ended:
    """Run a command, and end it and everything that it has started: after `seconds`, or when it is over.

    `home` is a folder for its output and its temporary files. `extra` is added to its environment. The time counts
    from when the command has written something to `begun`; for that it gets a minute, on a busy machine too.
    """
    mark = secrets.token_hex(16)
    env = environment(home) | extra | {MARK: mark}
    group: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    log = home / "output"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, **group
        )
        code: int | None = None
        try:
            # Its standard input stays open for as long as we live: it ends itself when that closes.
            _wait_until_begun(process, begun)
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _end(process, mark)
    return Ended(code, log.read_bytes()[-2000:].decode("utf-8", "replace"))


def _wait_until_begun(process: subprocess.Popen[bytes], begun: Path) -> None:
    """Return once there is something in the file, or the process has ended. Raises `TimeoutExpired` after a minute."""
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and not (begun.exists() and begun.stat().st_size):
        if time.monotonic() > end:
            raise subprocess.TimeoutExpired(process.args, START_SECONDS)
        time.sleep(0.02)


def environment(home: Path) -> dict[str, str]:
    """What the code under test sees of the environment."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    places = {name: str(home) for name in ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP")}
    settings = {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONUTF8": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "GRPC_VERBOSITY": "NONE",
    }
    return kept | places | settings


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """End the process, its group, and on Linux whatever has left the group but not its environment."""
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        for pid in _marked(mark):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)


def _marked(mark: str) -> list[int]:
    """The processes that carry this run's mark in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found
