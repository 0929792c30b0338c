"""Ends code under test that does not come back in the thread of the tests: a plain piece, or the top of a file.

Nothing there waits for it with a deadline, so a thread of our own looks every tenth of a second whether the same call
of the code under test still runs. Going round shows by the processor's time; waiting for what never comes, by the same
line at every look. Both count less on a loaded machine, not more: a look that comes late is one look.
"""

import ctypes
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from workbook import watchdog
from workbook.watchdog import LOOK_SECONDS, Ended, Frames, Place, place, processor_clock

WAITS_LOOKS = 40
"""So many looks in a row at the same line, without use of the processor: then it waits for what never comes."""
IDLE = 0.2
"""Of the processor's time between two looks: less is waiting."""
WAKE = getattr(signal, "SIGURG", None)
"""Interrupts a call of the system. By default it does nothing, so that one which comes too late hurts nobody."""
TRIES = 50
"""So many times it is interrupted in vain, by an `except` for everything or in C, before `lost` is called."""


class MainWatch:
    """Watches the main thread while `watching` is open. `own_files` are those of the code under test.

    What is ended gets `Ended` with a sentence. If that does not help, `lost` is called with the sentence, in a thread.
    """

    def __init__(self, own_files: Callable[[], set[str]], lost: Callable[[str], None]) -> None:
        self._main = threading.main_thread()
        self._frames = Frames(self._main, own_files)
        self._lost = lost
        self._used = processor_clock(self._main)
        self._over = threading.Event()
        self._accused: FrameType | None = None
        self.sentence: str | None = None
        """Why something was ended, while `watching` was open."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the block runs."""
        if threading.current_thread() is not self._main:
            yield  # nobody can be interrupted here but the main thread
            return
        self._accused, self.sentence = None, None
        before = signal.signal(WAKE, self._end) if WAKE is not None else None
        self._over = over = threading.Event()
        threading.Thread(target=self._watch, args=[over], name="main watch", daemon=True).start()
        try:
            yield
        finally:
            over.set()
            self._accused = None
            if WAKE is not None:
                signal.signal(WAKE, before)

    def _watch(self, over: threading.Event) -> None:
        call: FrameType | None = None
        began, busy_then, looks, at, tries = 0.0, 0.0, 0, (0, 0), 0
        while not over.wait(LOOK_SECONDS):
            frames = self._frames.now()
            outermost = list(frames)[-1] if frames else None
            used = self._used()
            if outermost is None or outermost is not call:
                call, began, busy_then, looks, at, tries = outermost, used, used, 0, (0, 0), 0
                continue
            innermost = next(iter(frames))
            here = (id(innermost), innermost.f_lasti)
            waits = here == at and used - busy_then < LOOK_SECONDS * IDLE
            looks, at, busy_then = looks + 1 if waits else 0, here, used
            sentence = self._goes_round(used - began) or self._waits(looks)
            if sentence is not None and not over.is_set():
                self.sentence = self.sentence or sentence
                self._accused = call
                tries += 1
                self._interrupt()
                if tries > TRIES:
                    self._lost(self.sentence)
                    return

    def _goes_round(self, busy: float) -> str | None:
        if self.sentence is None and busy <= watchdog.KNOWN_BUSY_SECONDS:
            return None
        found = self._frames.goes_round() or self._frames.line()
        if found is None or not (self.sentence or found in watchdog.known or busy > watchdog.BUSY_SECONDS):
            return None
        watchdog.known.add(found)
        return f"your code goes round and does not come back: {found}"

    def _waits(self, looks: int) -> str | None:
        found = self._frames.line() if looks >= (2 if self._is_known() else WAITS_LOOKS) else None
        if found is None:
            return None
        watchdog.known.add(found)
        return f"your code waits for what does not come: {found}"

    def _is_known(self) -> bool:
        found = self._frames.line()
        return found is not None and found in watchdog.known

    def _interrupt(self) -> None:
        if WAKE is not None:
            with suppress(OSError, ProcessLookupError):
                signal.pthread_kill(self._main.ident or 0, WAKE)
        else:
            ident = ctypes.c_ulong(self._main.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(Ended))

    def _end(self, number: int, frame: FrameType | None) -> None:
        """In the main thread: raise, if the accused call is still what runs."""
        if self._accused is not None and self._accused in self._frames.from_innermost(frame):
            raise Ended(self.sentence)


def line_of(error: BaseException, files: set[str]) -> Place | None:
    """The last line of these files that an error went through."""
    traceback, found = error.__traceback__, None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename in files:
            found = place(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found
