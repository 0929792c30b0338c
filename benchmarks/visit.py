"""One queue measured once: each part in a fresh database and an empty Redis index, by a driver process."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from scheduler import embedded
from scheduler.config import Settings

from benchmarks.catalogue import Entry
from benchmarks.environments import python_of
from workbook.sandbox import Servers, servers

ROOT = Path(__file__).parent.parent
PARTS = ("submit", "one", "two")
START_SECONDS = 60.0
"""How long a driver may take beside what it measures: imports, schema, the start of workers."""


@dataclass(frozen=True)
class Visit:
    """What came of it: jobs a second and milliseconds by measure, None where a queue can't; or why there is nothing."""

    figures: dict[str, float | None] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    error: str | None = None


@contextmanager
def benchmark_servers() -> Iterator[Servers]:
    """PostgreSQL and Redis that really write to the disk, in a folder of their own; or those that are given.

    TEST_DATABASE_URL and TEST_REDIS_URL name others, as they do for the tests.
    """
    with ExitStack() as stack:
        if "TEST_DATABASE_URL" not in os.environ:
            embedded.forget_other_servers()
            folder = embedded.default_folder() / "benchmarks"
            services = stack.enter_context(embedded.running(folder, durable=True))
            # The tests' own servers would not do: they are fast, and careless about power cuts.
            os.environ["TEST_DATABASE_URL"] = services.database_url
            address = f"{services.redis_host}:{services.redis_port}"
            os.environ["TEST_REDIS_URL"] = f"redis://:{services.redis_password}@{address}"
        yield stack.enter_context(servers())


def visit(entry: Entry, running: Servers, jobs: int, seconds: float) -> Visit:
    """Measure a queue once."""
    figures: dict[str, float | None] = {}
    versions: dict[str, str] = {}
    for part in PARTS:
        with running.sandbox() as sandbox:
            answer = _drive(entry, sandbox, part, jobs, seconds)
        if answer.error is not None:
            return answer
        figures |= answer.figures
        versions |= answer.versions
    return Visit(figures, versions)


def _drive(entry: Entry, sandbox: Settings, part: str, jobs: int, seconds: float) -> Visit:
    with TemporaryDirectory(prefix="benchmark-") as folder:
        log = Path(folder) / "log"
        command = [str(python_of(entry)), "-m", "benchmarks.driver", f"benchmarks.queues.{entry.module}"]
        command += [entry.class_name, part, str(jobs), str(seconds), str(log)]
        with log.open("ab") as output:
            driver = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=ROOT,
                env=environment(sandbox),
                start_new_session=True,
            )
        answer = _answer(driver, START_SECONDS + 12 * seconds)
        if answer.error is None:
            return answer
        return Visit(error=f"{answer.error} (part {part}; log: {_last_line(log)})")


def _answer(driver: "subprocess.Popen[bytes]", seconds: float) -> Visit:
    """What the driver says. However this is left, Ctrl-C included, the driver ends, and its workers with it."""
    assert driver.stdin is not None
    assert driver.stdout is not None
    with driver.stdin, driver.stdout:
        try:
            # Not communicate(): it would close the driver's standard input, which tells it to end.
            driver.wait(seconds)
        except subprocess.TimeoutExpired:
            return Visit(error=f"not done within {seconds:g} s")
        finally:
            driver.kill()
            driver.wait()
        lines = driver.stdout.read().splitlines()
    if not lines:
        return Visit(error=f"the driver ended with code {driver.returncode} and said nothing")
    return Visit(**json.loads(lines[-1]))


def environment(sandbox: Settings) -> dict[str, str]:
    """What driver and workers see: the sandbox's addresses, and otherwise everybody's own defaults."""
    address = sandbox.redis_address()
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": sandbox.database_conninfo(),
        "REDIS_HOST": address["host"],
        "REDIS_PORT": str(address["port"]),
        "REDIS_PASSWORD": address["password"] or "",
        "REDIS_DB": str(address["db"]),
        "GRPC_PORT": str(_free_port()),
        "METRICS_PORT": "0",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "empty")
