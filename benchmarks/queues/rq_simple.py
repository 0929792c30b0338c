"""RQ with its SimpleWorker, which runs jobs in its own process. Its usual worker forks for each job, and is slower."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from redis import Redis
from rq import Queue as RqQueue

from benchmarks.addresses import redis_url
from benchmarks.queues.base import Queue
from benchmarks.stamps import stamp


def noop() -> None:
    """Does nothing."""


def stamp_job() -> None:
    """Tells when it began."""
    stamp()


class RqSimple(Queue):
    """A hash for each job and a stream with its result, for 500 s."""

    packages = ("rq", "redis")
    worker = (
        *("-c", "from rq.cli import main; main()", "worker"),
        *("--worker-class", "rq.worker.SimpleWorker", "--quiet", "--url", redis_url()),
    )

    async def open(self) -> None:
        self._redis = Redis.from_url(redis_url())
        self._queue = RqQueue(connection=self._redis)

    async def submit(self, job: str) -> None:
        self._queue.enqueue(noop if job == "noop" else stamp_job)

    async def submit_many(self, count: int) -> None:
        self._queue.enqueue_many([RqQueue.prepare_data(noop) for _ in range(count)])

    async def finished(self) -> int:
        return int(self._redis.zcard(self._queue.finished_job_registry.key))
