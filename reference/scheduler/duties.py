"""A duty is a function that is called again and again: the retry pump, the reaper, the refreshing of gauges."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

from redis.exceptions import RedisError

from scheduler.app import App
from scheduler.database import Unavailable

log = logging.getLogger(__name__)

FULL_BATCH = 500

Duty = Callable[[App], Awaitable[Any]]


async def every(seconds: float, app: App, duty: Duty) -> None:
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
        except (Unavailable, RedisError) as error:
            if working:
                log.warning("%s waits for its services: %s", _name(duty), type(error).__name__)
            working = False
        except Exception:
            log.exception("%s failed; it goes on", _name(duty))
        if done < FULL_BATCH:
            await asyncio.sleep(seconds * random.uniform(0.8, 1.2))


def _name(duty: Duty) -> str:
    return str(getattr(duty, "__name__", duty))
