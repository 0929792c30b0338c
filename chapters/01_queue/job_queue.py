"""Chapter 01, tasks 1 to 4: the Redis queues, one list a priority. Read README.md beside this file first."""

from collections.abc import Sequence

from redis.asyncio import Redis
from scheduler.config import Settings
from scheduler.entry import Queueable
from scheduler.jobs import Priority
from scheduler.redis_clients import patient, quick


def queue_name(priority: Priority) -> str:
    """Task 1: the Redis list of a priority: `q:critical`, `q:high`, `q:default` or `q:low`.

    Raise `ValueError` for anything that is not a priority.

    Hint: a `Priority` is also a string, so `Priority.HIGH == "high"`. What does `Priority("urgent")` do?
    """
    raise NotImplementedError("01_queue task 1: name the queue of a priority")


def encode_entry(job: Queueable) -> bytes:
    """Task 2: the bytes of a job's entry: `{"task_id":"…","type":"…","priority":"…"}`, in this order, without spaces.

    Hint: `json.dumps` puts spaces in unless `separators` says otherwise, and it does not know what a UUID is.
    """
    raise NotImplementedError("01_queue task 2: encode an entry")


class JobQueue:
    """The queues. `redis` is for ordinary commands; `blocking` is for pops that wait, and chapter 06 uses it."""

    def __init__(self, redis: "Redis") -> None:
        # Given.
        self.redis = redis
        self.blocking = patient(redis)

    async def push(self, job: Queueable) -> None:
        """Task 3: put a job's entry on the left of its queue.

        Let redis-py's errors through: whoever calls `push` decides what they mean.

        Hint: which command adds on the left? And what does a coroutine do that nobody awaits?
        """
        raise NotImplementedError("01_queue task 3: push a job")

    async def push_many(self, jobs: Sequence[Queueable]) -> None:
        """Given: push several jobs, in this order."""
        for job in jobs:
            await self.push(job)

    async def close(self) -> None:
        """Given: close both clients."""
        await self.redis.aclose()
        await self.blocking.aclose()


async def connect(settings: Settings) -> JobQueue:
    """Task 4: connect to the Redis of the settings, make sure that it answers, and return a `JobQueue` of it.

    Let redis-py's error through if it does not answer, and leave nothing open then.

    Hint: `Redis(…)` connects to nothing yet. Which command costs little and proves that somebody is there?
    `quick()` gives options that every client here should have: `Redis(host=…, port=…, **quick())`.
    """
    raise NotImplementedError("01_queue task 4: connect to Redis")
