"""Dramatiq on Redis with results, one process of eight threads (its default) a worker."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.addresses import redis_url
from benchmarks.queues.base import Queue
from benchmarks.stamps import stamp

broker = RedisBroker(url=redis_url())
broker.add_middleware(Results(backend=RedisBackend(url=redis_url()), store_results=True))
dramatiq.set_broker(broker)

MESSAGES = "dramatiq:default.msgs"


@dramatiq.actor
def noop() -> None:
    """Does nothing."""


@dramatiq.actor
def stamp_job() -> None:
    """Tells when it began."""
    stamp()


class Dramatiq(Queue):
    """A result under a key of its own, for ten minutes."""

    packages = ("dramatiq", "redis")
    worker = ("-m", "dramatiq", "benchmarks.queues.dramatiq_results", "--processes", "1")
    has_bulk = False

    async def open(self) -> None:
        self._submitted = 0

    async def submit(self, job: str) -> None:
        (noop if job == "noop" else stamp_job).send()
        self._submitted += 1

    async def finished(self) -> int:
        # A message is removed when it is acknowledged, after its result was written.
        return self._submitted - int(broker.client.hlen(MESSAGES))
