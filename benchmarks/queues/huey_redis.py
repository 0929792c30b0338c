"""Huey on Redis, one thread (its default) a worker."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from huey import RedisHuey
from redis import Redis

from benchmarks.addresses import redis_url
from benchmarks.queues.base import Queue
from benchmarks.stamps import stamp

NAME = "benchmark"
# By default it keeps nothing of a job that returns nothing; the others do.
huey = RedisHuey(NAME, url=redis_url(), store_none=True)


@huey.task()
def noop() -> None:
    """Does nothing."""


@huey.task()
def stamp_job() -> None:
    """Tells when it began."""
    stamp()


class Huey(Queue):
    """A result in a hash, until somebody reads it."""

    packages = ("huey", "redis")
    worker = ("-m", "huey.bin.huey_consumer", "benchmarks.queues.huey_redis.huey", "--quiet")
    has_bulk = False

    async def open(self) -> None:
        self._redis = Redis.from_url(redis_url())

    async def submit(self, job: str) -> None:
        (noop if job == "noop" else stamp_job)()

    async def finished(self) -> int:
        return int(self._redis.hlen(f"huey.results.{NAME}"))
