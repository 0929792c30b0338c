"""Lets a coroutine that is never awaited tell where it was made. Python keeps that as a setting of each thread."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

DEPTH = 8
"""Frames that are remembered: a piece is called through a few of ours."""


def remember() -> None:
    """From now on, coroutines that this thread makes know their origin."""
    sys.set_coroutine_origin_tracking_depth(DEPTH)


@contextmanager
def coroutines_know_their_origin() -> Iterator[None]:
    """The same for this thread, while the block runs."""
    before = sys.get_coroutine_origin_tracking_depth()
    remember()
    try:
        yield
    finally:
        sys.set_coroutine_origin_tracking_depth(before)


def threads() -> ThreadPoolExecutor:
    """Threads for an event loop, in which coroutines know it too."""
    return ThreadPoolExecutor(thread_name_prefix="code under test", initializer=remember)
