"""arq, 100 jobs at once. Its worker looks for jobs twice a second."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from typing import Any, ClassVar

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.addresses import redis_url
from benchmarks.queues.base import Queue
from benchmarks.stamps import stamp

QUEUE = "arq:queue"
LOGS = {"version": 1, "disable_existing_loggers": False}


async def noop(context: Any) -> None:
    """Does nothing."""


async def stamp_job(context: Any) -> None:
    """Tells when it began."""
    stamp()


class WorkerSettings:
    """What the command `arq` reads."""

    functions: ClassVar[list[Any]] = [noop, stamp_job]
    redis_settings = RedisSettings.from_dsn(redis_url())
    max_jobs = 100


class Arq(Queue):
    """A result under a key of its own, for an hour."""

    packages = ("arq", "redis")
    worker = (
        *("-m", "arq", "benchmarks.queues.arq_redis.WorkerSettings"),
        *("--custom-log-dict", "benchmarks.queues.arq_redis.LOGS"),
    )
    has_bulk = False

    async def open(self) -> None:
        self._submitted = 0
        self._redis = await create_pool(WorkerSettings.redis_settings)

    async def close(self) -> None:
        await self._redis.aclose()

    async def submit(self, job: str) -> None:
        await self._redis.enqueue_job("noop" if job == "noop" else "stamp_job")
        self._submitted += 1

    async def finished(self) -> int:
        # A job leaves the queue in the transaction that writes its result.
        return self._submitted - int(await self._redis.zcard(QUEUE))
