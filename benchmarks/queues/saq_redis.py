"""saq on Redis, 100 jobs at once."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from typing import Any

from saq import Queue as SaqQueue

from benchmarks.addresses import redis_url
from benchmarks.queues.base import Queue
from benchmarks.stamps import stamp

queue = SaqQueue.from_url(redis_url())


async def noop(context: Any) -> None:
    """Does nothing."""


async def stamp_job(context: Any) -> None:
    """Tells when it began."""
    stamp()


settings = {"queue": queue, "functions": [noop, stamp_job], "concurrency": 100}
"""What the command `saq` reads."""


class SaqRedis(Queue):
    """The job with its result under a key of its own, for ten minutes."""

    packages = ("saq", "redis")
    worker = ("-m", "saq", "benchmarks.queues.saq_redis.settings", "--quiet")
    has_bulk = False

    async def open(self) -> None:
        self._submitted = 0
        await queue.connect()

    async def close(self) -> None:
        await queue.disconnect()

    async def submit(self, job: str) -> None:
        await queue.enqueue("noop" if job == "noop" else "stamp_job")
        self._submitted += 1

    async def finished(self) -> int:
        return self._submitted - int(await queue.count("incomplete"))
