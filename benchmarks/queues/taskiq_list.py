"""taskiq with taskiq-redis: a list as the queue, 100 jobs at once (its default), results in Redis."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from redis.asyncio import Redis
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

from benchmarks.addresses import redis_url
from benchmarks.queues.base import Queue
from benchmarks.stamps import stamp

QUEUE = "taskiq"
broker = ListQueueBroker(redis_url(), queue_name=QUEUE).with_result_backend(
    RedisAsyncResultBackend(redis_url())
)


@broker.task(task_name="noop")
async def noop() -> None:
    """Does nothing."""


@broker.task(task_name="stamp")
async def stamp_job() -> None:
    """Tells when it began."""
    stamp()


class Taskiq(Queue):
    """A result under a key of its own, for ever."""

    packages = ("taskiq", "taskiq-redis", "redis")
    worker = (
        *("-m", "taskiq", "worker", "benchmarks.queues.taskiq_list:broker"),
        *("--workers", "1", "--log-level", "WARNING"),
    )
    has_bulk = False

    async def open(self) -> None:
        self._redis = Redis.from_url(redis_url())
        await broker.startup()

    async def close(self) -> None:
        await broker.shutdown()
        await self._redis.aclose()

    async def submit(self, job: str) -> None:
        await (noop if job == "noop" else stamp_job).kiq()

    async def finished(self) -> int:
        # Beside a result for each job that has finished, there is the list.
        return int(await self._redis.dbsize()) - int(await self._redis.exists(QUEUE))
