"""Whether the event loop turns. A task says so again and again, and a thread that nothing holds up looks at the clock.

One call that blocks, `time.sleep` in an async handler say, stops heartbeats, finishes and answers of the whole process.
The thread names the line that does it.
"""

import asyncio
import linecache
import logging
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

log = logging.getLogger(__name__)

BEAT_SECONDS = 0.1
STALL_SECONDS = 1.0
"""A loop that stands still for so long is named in the log, once for each time."""
LIBRARIES = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))


class LoopWatch:
    """Watches the loop of whoever makes it."""

    def __init__(self) -> None:
        self._turned_at = monotonic()
        self._thread_id = threading.get_ident()
        self._over = threading.Event()

    @property
    def age(self) -> float:
        """How many seconds ago the loop has turned. To be asked from any thread."""
        return monotonic() - self._turned_at

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the block runs."""
        beat = asyncio.create_task(self._beat())
        threading.Thread(target=self._look, name="loop watch", daemon=True).start()
        try:
            yield
        finally:
            self._over.set()
            beat.cancel()

    async def _beat(self) -> None:
        while True:
            self._turned_at = monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    def _look(self) -> None:
        named = None
        looked = monotonic()
        while not self._over.wait(BEAT_SECONDS):
            slept = monotonic() - looked > STALL_SECONDS  # the whole process did, and not the loop alone
            looked = monotonic()
            if self.age > STALL_SECONDS and named != self._turned_at and not slept:
                named = self._turned_at
                log.error("the event loop has stood still for %.1f s: %s", self.age, self._line())

    def _line(self) -> str:
        frame = sys._current_frames().get(self._thread_id)
        if frame is None:
            return "its thread is gone"
        own = _own(frame)
        file, line = own.f_code.co_filename, own.f_lineno
        return f"{file}, line {line}, in {own.f_code.co_name}: {linecache.getline(file, line).strip()}"


def _own(frame: FrameType) -> FrameType:
    """The innermost frame that is no library's: the line that somebody here has written."""
    found: FrameType | None = frame
    while found is not None and found.f_code.co_filename.startswith((*LIBRARIES, "<")):
        found = found.f_back
    return found or frame
