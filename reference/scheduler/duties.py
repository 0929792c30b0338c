"""What goes on for as long as a process lives: duties, which are done again and again, and work that must not end."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from scheduler.database import DatabaseError
from scheduler.redis_clients import heed_cancellation

if TYPE_CHECKING:
    from scheduler.app import App

log = logging.getLogger(__name__)

FULL_BATCH = 500
LONGEST_PAUSE = 1.2
"""By how much a pause between two times may be longer than it should be."""

Duty = Callable[["App"], Awaitable[Any]]
"""A function that is called again and again: the retry pump, the reaper, the refreshing of gauges."""


async def every(seconds: float, app: "App", duty: Duty) -> None:
    """Do a duty again and again, about every `seconds`, until cancelled. A duty that fails is done again next time.

    A duty that found a full batch is done again at once. The pauses differ a little, so that processes which started
    together do not go on asking the database together.
    """
    working = True
    while True:
        done = 0
        try:
            done = await duty(app) or 0
            working = True
        except (DatabaseError, RedisError) as error:
            if working:
                log.warning("%s waits for its services: %s", _name(duty), type(error).__name__)
            working = False
        except Exception:
            log.exception("%s failed; it goes on", _name(duty))
        heed_cancellation()  # or else stopping would sometimes wait for ever
        if done < FULL_BATCH:
            await asyncio.sleep(seconds * random.uniform(0.8, LONGEST_PAUSE))


async def forever(name: str, work: Callable[[], Awaitable[Any]], pause: float) -> None:
    """Do work that must not end. Whenever it does, say so, and begin it again after a pause in seconds.

    A task that ends by an error of its own does so in silence, for nobody waits for it: what it did is then missing
    for the rest of the process's life.
    """
    while True:
        try:
            await work()
            log.error("%s ended, which it should never do; it begins again", name)
        except asyncio.CancelledError:
            heed_cancellation()
            log.error("%s was ended by a cancellation that nobody asked for; it begins again", name)
        except Exception:
            log.exception("%s failed; it begins again", name)
        heed_cancellation()
        await asyncio.sleep(pause)


async def cancel_and_wait(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks, again and again until they have ended.

    Once is not enough: psycopg and redis-py wait with asyncio.wait_for, and before Python 3.12 that swallows a
    cancellation which comes in the same turn of the loop as the reply.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)


def _name(duty: Duty) -> str:
    return str(getattr(duty, "__name__", duty))
