"""Celery with Redis as its broker and for its results: one pool process a worker."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from celery import Celery, group
from redis import Redis

from benchmarks.addresses import redis_url
from benchmarks.queues.base import Queue
from benchmarks.stamps import stamp

app = Celery("benchmark", broker=redis_url(), backend=redis_url())

# What else is in the index while jobs run, beside a result for each that has finished.
BROKER_KEYS = ("celery", "unacked", "unacked_index", "unacked_mutex")


@app.task(name="noop")
def noop() -> None:
    """Does nothing."""


@app.task(name="stamp")
def stamp_job() -> None:
    """Tells when it began."""
    stamp()


class CeleryRedis(Queue):
    """A result under a key of its own, for a day."""

    packages = ("celery", "kombu", "redis")
    worker = (
        *("-m", "celery", "-A", "benchmarks.queues.celery_redis", "worker"),
        *("--pool", "prefork", "--concurrency", "1", "--loglevel", "WARNING"),
    )

    async def open(self) -> None:
        self._redis = Redis.from_url(redis_url())

    async def submit(self, job: str) -> None:
        (noop if job == "noop" else stamp_job).delay()

    async def submit_many(self, count: int) -> None:
        group(noop.s() for _ in range(count)).apply_async()

    async def finished(self) -> int:
        # The keys of bindings stay what they are; a difference is all that is asked for.
        pipe = self._redis.pipeline(transaction=False)
        pipe.dbsize()
        pipe.exists(*BROKER_KEYS)
        keys, others = pipe.execute()
        return int(keys) - int(others)
