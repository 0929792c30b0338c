"""Locks between processes, and waiting for what another process does."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scheduler.embedded.services import EmbeddedError
from scheduler.embedded.supervisor import try_lock, unlock

LOCK_SECONDS = 240


def ticks(seconds: float) -> Iterator[None]:
    """Comes round every 10 ms, until the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.01)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes, and between threads of one process."""
    with path.open("ab") as file:
        if not any(try_lock(file.fileno()) for _ in ticks(LOCK_SECONDS)):
            raise EmbeddedError(
                f"Another process starts services in {path.parent} and does not finish: end it."
            )
        try:
            yield
        finally:
            unlock(file.fileno())


def is_held(path: Path) -> bool:
    """Whether a living process holds a lock."""
    if not path.exists():
        return False
    with path.open("ab") as file:
        # Shared, so that two who look at the same time do not take each other for the holder.
        free = try_lock(file.fileno(), shared=True)
        if free:
            unlock(file.fileno())
        return not free
