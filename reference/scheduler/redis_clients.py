"""How this scheduler talks to Redis: quickly or not at all, but for one command that waits. Given to the learner."""

import asyncio
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

COMMAND_SECONDS = 0.5
"""An ordinary command that takes longer has failed. redis-py's own default would hold a SubmitJob up for seconds."""

BLOCK_SECONDS = 1.0
"""How long a blocking pop waits for an entry. Stopping a worker waits this long at most."""


def quick() -> dict[str, Any]:
    """Options for a client of ordinary commands: it gives up soon, and never tries again.

    Trying again is for those who know what it would mean: a pop whose reply was lost has taken its entry.
    """
    return {
        "socket_timeout": COMMAND_SECONDS,
        "socket_connect_timeout": COMMAND_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "client_name": "scheduler",
    }


def patient(redis: "Redis") -> "Redis":
    """A second client for the same Redis, with connections of its own, for pops that wait `BLOCK_SECONDS`."""
    pool = redis.connection_pool
    options = {**pool.connection_kwargs, "socket_timeout": BLOCK_SECONDS + 2}
    return Redis.from_pool(ConnectionPool(connection_class=pool.connection_class, **options))


def heed_cancellation() -> None:
    """Raise the cancellation of this task that a command to Redis swallowed, if one did.

    redis-py sends with asyncio.wait_for, and before Python 3.12 that swallows a cancellation which comes in the same
    turn of the loop as the end of the sending. Call this where a task that somebody waits for would go on.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
