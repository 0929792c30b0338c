"""Procrastinate, ten jobs at once."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

import psycopg
from procrastinate import App, PsycopgConnector

from benchmarks.addresses import database_url
from benchmarks.queues.base import Queue
from benchmarks.stamps import stamp

app = App(connector=PsycopgConnector(conninfo=database_url()))


@app.task(name="noop")
async def noop() -> None:
    """Does nothing."""


@app.task(name="stamp")
async def stamp_job() -> None:
    """Tells when it began."""
    stamp()


class Procrastinate(Queue):
    """The job's row, and a row for each thing that happened to it."""

    packages = ("procrastinate", "psycopg")
    worker = (
        *("-m", "procrastinate", "--app", "benchmarks.queues.procrastinate_postgres.app"),
        *("--log-level", "warning", "worker", "--concurrency", "10"),
    )

    async def open(self) -> None:
        self._counting = await psycopg.AsyncConnection.connect(database_url(), autocommit=True)
        await app.open_async()
        await app.schema_manager.apply_schema_async()

    async def close(self) -> None:
        await app.close_async()
        await self._counting.close()

    async def submit(self, job: str) -> None:
        await (noop if job == "noop" else stamp_job).defer_async()

    async def submit_many(self, count: int) -> None:
        await noop.batch_defer_async(*({} for _ in range(count)))

    async def finished(self) -> int:
        cursor = await self._counting.execute(
            "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"
        )
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])
