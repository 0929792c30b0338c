"""What goes on in a scheduler now: its queues, and the jobs that run, wait, failed or changed last."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scheduler.config import Settings

PRIORITIES = ("critical", "high", "default", "low")
MOST = 50
"""How many jobs of a kind are read; the counts are of all."""


@dataclass(frozen=True)
class Queue:
    """One list of Redis: how many entries, and the first that come out, as (type, job id)."""

    name: str
    length: int
    first: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class JobNow:
    """A row of the database, as far as it is shown."""

    job_id: str
    type: str
    status: str
    attempts: int
    max_attempts: int
    updated_at: datetime
    seconds: float | None = None
    """Until its lease runs out, or until its retry is due; below 0 if that has passed."""
    worker: str = ""
    error: str = ""


@dataclass(frozen=True)
class System:
    """All of it, at one moment."""

    at: datetime
    queues: tuple[Queue, ...]
    counts: dict[str, int]
    """How many jobs are in each state."""
    running: tuple[JobNow, ...]
    retries: tuple[JobNow, ...]
    dead: tuple[JobNow, ...]
    last: tuple[JobNow, ...]


class Observer:
    """Reads a system again and again over two connections. Raises what psycopg and redis-py raise."""

    def __init__(self, database: Any, redis: Any, prefix: str = "") -> None:
        self._database = database
        self._redis = redis
        self._prefix = prefix

    def look(self) -> System:
        """The system now."""
        counted = self._database.execute("SELECT status, count(*) FROM tasks GROUP BY status").fetchall()
        now = self._database.execute("SELECT now()").fetchone()[0]
        return System(
            at=now,
            queues=tuple(self._queue(f"{self._prefix}q:{priority}") for priority in PRIORITIES),
            counts=dict(counted),
            running=self._jobs("lease_expires_at IS NOT NULL", "lease_expires_at", "lease_expires_at"),
            retries=self._jobs("next_run_at IS NOT NULL", "next_run_at", "next_run_at"),
            dead=self._jobs("status = 'deadletter'", "updated_at DESC"),
            last=self._jobs("true", "updated_at DESC"),
        )

    def _queue(self, name: str) -> Queue:
        length, last = self._redis.llen(name), self._redis.lrange(name, -5, -1)
        return Queue(name, length, tuple(_entry(value) for value in reversed(last)))

    def _jobs(self, where: str, order: str, until: str = "NULL::timestamptz") -> tuple[JobNow, ...]:
        rows = self._database.execute(
            f"""SELECT task_id::text, type, status, attempts, max_attempts, updated_at,
                       extract(epoch FROM {until} - now())::float8, coalesce(worker, ''), coalesce(last_error, '')
                FROM tasks WHERE {where} ORDER BY {order} LIMIT {MOST}"""
        )
        return tuple(JobNow(*row) for row in rows)


@contextmanager
def observed(settings: "Settings") -> Iterator[Observer]:
    """An observer of the services of these settings."""
    import psycopg
    from redis import Redis

    with (
        psycopg.connect(
            settings.database_conninfo(),
            autocommit=True,
            connect_timeout=3,
            application_name="workbook look",
            client_encoding="UTF8",
        ) as database,
        Redis(**settings.redis_address(), socket_timeout=3, socket_connect_timeout=3) as redis,
    ):
        database.execute("SET datestyle TO 'ISO'")  # psycopg reads times in this form alone
        yield Observer(database, redis, settings.redis_prefix)


def _entry(value: bytes) -> tuple[str, str]:
    try:
        fields = json.loads(value)
        return str(fields["type"]), str(fields["task_id"])
    except (ValueError, LookupError, TypeError):
        return "no entry", value[:20].decode("utf-8", "replace")
