"""PgQueuer with its asyncpg driver, 100 jobs a batch."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from typing import Any

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

from benchmarks.addresses import database_url
from benchmarks.queues.base import Queue
from benchmarks.stamps import stamp

BATCH = 100


async def work() -> None:
    """One worker. The command `pgq run` of version 1.6.0 ends with an AttributeError about its log level."""
    queuer = PgQueuer(AsyncpgDriver(await asyncpg.connect(database_url())))

    @queuer.entrypoint("noop")
    async def noop(job: Any) -> None:
        pass

    @queuer.entrypoint("stamp")
    async def stamp_job(job: Any) -> None:
        stamp()

    await queuer.run(batch_size=BATCH)


class PgQueuer100(Queue):
    """The job's row is deleted; rows in a log say when it was queued, picked and done."""

    packages = ("pgqueuer", "asyncpg")
    worker = ("-m", "benchmarks.queues.pgqueuer_postgres")

    async def open(self) -> None:
        self._counting = await asyncpg.connect(database_url())
        self._connection = await asyncpg.connect(database_url())
        self._queries = Queries(AsyncpgDriver(self._connection))
        await self._queries.install()

    async def close(self) -> None:
        await self._connection.close()
        await self._counting.close()

    async def submit(self, job: str) -> None:
        await self._queries.enqueue(job, None)

    async def submit_many(self, count: int) -> None:
        await self._queries.enqueue(["noop"] * count, [None] * count, [0] * count)

    async def finished(self) -> int:
        counted = await self._counting.fetchval(
            "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'"
        )
        return int(counted)


if __name__ == "__main__":
    uvloop.run(work())  # as `pgq run` does
