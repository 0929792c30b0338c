"""How much longer to wait on a machine that is slow, or has much else to do: one answer for every wait of a test.

A test says how long something takes at most where nothing else runs. What waits stretches that, in one place each, so
that a right answer is not red because somebody compiles a kernel beside it. `PATIENCE_SECONDS`, if it is set, is how
long the suite of the project waits; a chapter's waits are stretched in the same proportion.
"""

import os
import time
from collections.abc import Callable
from functools import cache
from typing import Any

QUIET_SECONDS = 60.0
MOST_TIMES = 5.0
LOOPS = 200_000
LOOPS_SECONDS = 0.01
"""What so many turns take where this was written, when nothing else runs there."""


@cache
def slowness() -> float:
    """How many times as long as on a quiet machine something takes: from 1, which is quiet, to 5."""
    if given := os.environ.get("PATIENCE_SECONDS"):
        return min(max(1.0, float(given) / QUIET_SECONDS), MOST_TIMES)
    began = time.monotonic()
    for _ in range(LOOPS):
        pass
    by_loop = (time.monotonic() - began) / LOOPS_SECONDS
    by_load = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 1.0
    return min(max(1.0, by_loop, by_load), MOST_TIMES)


def stretched(seconds: float) -> float:
    """So many seconds of a quiet machine, here and now."""
    return seconds * round(slowness())


def comes(look: Callable[[], Any], within: float = 1.0) -> bool:
    """Whether `look` gives something true before the time is up: asked where a test is red, to say why."""
    end = time.monotonic() + stretched(within)
    while not look():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
