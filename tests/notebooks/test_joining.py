"""Beside a running `scheduler up`, notebooks join it or keep to themselves, and leave it as it was."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis import Redis
from scheduler import embedded
from scheduler.embedded import Services
from scheduler.embedded.server import free_port

from tests.notebooks.running import NOTEBOOKS, data_folder, environment, run, text_of
from tests.patience import SECONDS, end, until_sync

JOBS = 5


@dataclass(frozen=True)
class Up:
    """A running `scheduler up` with a few jobs that have ended."""

    process: "subprocess.Popen[bytes]"
    services: Services
    environment: dict[str, str]

    def rows(self) -> dict[Any, tuple[Any, ...]]:
        with psycopg.connect(self.services.database_url) as database:
            return {row[0]: row for row in database.execute("SELECT task_id, status, version FROM tasks")}

    def databases(self) -> set[str]:
        with psycopg.connect(self.services.database_url) as database:
            return {str(row[0]) for row in database.execute("SELECT datname FROM pg_database")}

    def keys(self) -> dict[str, list[bytes]]:
        """The keys of each Redis index that has any."""
        services = self.services
        found = {}
        with Redis(
            host=services.redis_host, port=services.redis_port, password=services.redis_password
        ) as redis:
            for name in redis.info("keyspace"):
                with Redis(
                    host=services.redis_host,
                    port=services.redis_port,
                    password=services.redis_password,
                    db=int(name.removeprefix("db")),
                ) as one:
                    found[name] = sorted(one.keys("*"))
        return found


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    folder = data_folder() / "joined"
    port = free_port()
    own = {
        "SCHEDULER_DATA": str(folder),
        "GRPC_PORT": str(port),
        "METRICS_PORT": "0",
        "SCHEDULER_ADDRESS": f"127.0.0.1:{port}",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "scheduler", "up"],
        env={**environment(), **own},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:

        def a_job_is_accepted() -> bool:
            assert process.poll() is None, f"`scheduler up` ended with {process.returncode}"
            submitted = subprocess.run(
                [sys.executable, "-m", "scheduler", "submit", "noop"],
                env={**os.environ, **own},
                capture_output=True,
                check=False,
            )
            return submitted.returncode == 0

        until_sync(a_job_is_accepted, "`scheduler up` takes a job")
        services = embedded.find(folder)
        assert services is not None
        yield Up(process, services, own)
    finally:
        process.terminate()
        try:
            process.wait(SECONDS)
        finally:
            end(process)


def test_notebooks_that_break_things_keep_to_themselves(up: Up, tmp_path: Path) -> None:
    """One empties its queues, one kills workers, and both at once."""
    rows, databases, keys = up.rows(), up.databases(), up.keys()
    with ThreadPoolExecutor(2) as threads:
        both = list(
            threads.map(lambda number: run(_notebook(number), tmp_path, **up.environment), ["01", "05"])
        )
    for ran in both:
        assert "what it holds itself is not touched" in text_of(ran.code[0])
    assert up.process.poll() is None
    assert up.rows() == rows
    assert up.databases() == databases
    assert up.keys() == keys


def test_a_notebook_that_only_looks_joins_it(up: Up, tmp_path: Path) -> None:
    before = up.rows()
    ran = run(_notebook("03"), tmp_path, WORKBOOK_NOTEBOOK_JOIN_ONLY="1", **up.environment)
    assert "Joined the system that runs" in text_of(ran.code[0])
    after = up.rows()
    assert before.items() <= after.items()
    assert len(after) > len(before) + JOBS  # its jobs ran here


def _notebook(number: str) -> Path:
    return next(path for path in NOTEBOOKS if path.stem.startswith(number))
