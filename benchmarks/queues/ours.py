"""This scheduler, with the piece `submit_job` called in the process that submits. Its worker is `scheduler worker`."""

from contextlib import AsyncExitStack

from scheduler.app import App, open_app
from scheduler.config import Settings
from scheduler.jobs import Job, NewJob
from scheduler.parts import reference
from scheduler.worker.handlers import handler

from benchmarks.queues.base import Queue
from benchmarks.stamps import stamp


@handler("stamp")
async def stamp_job(app: App, job: Job) -> None:
    """Tells when it began."""
    stamp()


class Ours(Queue):
    """The reference; a job's row and a row for its attempt are what it keeps."""

    worker = ("-m", "scheduler", "worker", "--handlers", "benchmarks.queues.ours")

    async def open(self) -> None:
        self._open = AsyncExitStack()
        self.app = await self._open.enter_async_context(open_app(Settings.from_environment(), reference()))

    async def close(self) -> None:
        await self._open.aclose()

    async def submit(self, job: str) -> None:
        await self.app.parts.submit_job(self.app, NewJob(job))

    async def submit_many(self, count: int) -> None:
        await self.app.parts.submit_jobs(self.app, [NewJob("noop") for _ in range(count)])

    async def finished(self) -> int:
        row = await self.app.db.fetch_one("SELECT count(*) AS number FROM task_attempts WHERE ok")
        assert row is not None
        number: int = row["number"]
        return number
