"""saq on PostgreSQL, 100 jobs at once."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from typing import Any

import psycopg
from saq import Queue as SaqQueue

from benchmarks.addresses import database_url
from benchmarks.queues.base import Queue
from benchmarks.stamps import stamp

queue = SaqQueue.from_url(database_url())


async def noop(context: Any) -> None:
    """Does nothing."""


async def stamp_job(context: Any) -> None:
    """Tells when it began."""
    stamp()


settings = {"queue": queue, "functions": [noop, stamp_job], "concurrency": 100}
"""What the command `saq` reads."""


class SaqPostgres(Queue):
    """The job's row with its result, for ten minutes."""

    packages = ("saq", "psycopg")
    worker = ("-m", "saq", "benchmarks.queues.saq_postgres.settings", "--quiet")
    has_bulk = False

    async def open(self) -> None:
        self._counting = await psycopg.AsyncConnection.connect(database_url(), autocommit=True)
        await queue.connect()

    async def close(self) -> None:
        await queue.disconnect()
        await self._counting.close()

    async def submit(self, job: str) -> None:
        await queue.enqueue("noop" if job == "noop" else "stamp_job")

    async def finished(self) -> int:
        cursor = await self._counting.execute("SELECT count(*) FROM saq_jobs WHERE status = 'complete'")
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])
