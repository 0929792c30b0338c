"""How long the whole suite waits for what must come: one time for all of it, long, and known nowhere else.

A wait is for an event and says for which, so that it costs nothing where all is well; only a test that would fail
anyhow takes this long. `PATIENCE_SECONDS` sets it. Otherwise it is two minutes, and more where this machine is slow or
has much to do as the run begins.
"""

import asyncio
import inspect
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from workbook.patience import QUIET_SECONDS, slowness

T = TypeVar("T")

PAUSE_SECONDS = 0.005

LEAST_TIMES = 2.0
"""A machine that is quiet as a run begins need not stay so: nothing is waited for as on a quiet one."""
SECONDS = float(os.environ.get("PATIENCE_SECONDS") or QUIET_SECONDS * max(slowness(), LEAST_TIMES))
"""Give this wherever a call asks for a time."""
COMMAND_SECONDS = 3 * SECONDS
"""Give this to a command that does much, as a run of a chapter's tests."""
TEST_SECONDS = 5 * SECONDS
"""No test takes as long: one that waits where nobody has put an end to it is ended."""


def share() -> None:
    """Let the chapters' tests, and all that a test starts, wait in the same proportion."""
    os.environ["PATIENCE_SECONDS"] = f"{SECONDS:g}"
    slowness.cache_clear()


def in_vain(what: str) -> AssertionError:
    """What a wait raises that was too long."""
    return AssertionError(f"waited {SECONDS:g} s (PATIENCE_SECONDS) in vain: {what}")


async def until(look: Callable[[], T | Awaitable[T]], what: str) -> T:
    """Look again and again until `look` gives something true, and return that. Fails with `what`."""
    async with deadline(what):
        while True:
            found = look()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found  # type: ignore[return-value]
            await asyncio.sleep(PAUSE_SECONDS)


def until_sync(look: Callable[[], T], what: str | Callable[[], str]) -> T:
    """As `until`, where there is no event loop. `what` may be a function, for what is known only at the end."""
    end = time.monotonic() + SECONDS
    while not (found := look()):
        if time.monotonic() > end:
            raise in_vain(what if isinstance(what, str) else what())
        time.sleep(PAUSE_SECONDS)
    return found


async def within(work: Awaitable[T], what: str) -> T:
    """The result of something that must end. Fails with `what`."""
    async with deadline(what):
        return await work


@asynccontextmanager
async def deadline(what: str) -> AsyncIterator[None]:
    """The block must end. Fails with `what`; a TimeoutError of the block's own goes through."""
    timeout = asyncio.timeout(SECONDS)
    try:
        async with timeout:
            yield
    except TimeoutError:
        if not timeout.expired():
            raise
        raise in_vain(what) from None


def end(process: Any) -> None:
    """End a process that a test has started (`subprocess.Popen`), however it stands, and wait until it is gone."""
    if process.poll() is None:
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
