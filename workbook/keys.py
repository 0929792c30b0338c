"""Single keys from a terminal, without Enter; nothing is drawn, so scrolling back works."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any

TICK_SECONDS = 0.1


@contextmanager
def keys(pressed: Callable[[str], None]) -> Iterator[bool]:
    """Call `pressed`, in a thread, with each key while the block runs. Yields whether keys can be read at all.

    An empty string means that the terminal is gone. Ctrl-C stays a signal. The terminal is left as it was found.
    """
    if not sys.stdin.isatty():
        yield False
        return
    stop = Event()
    with _keys_at_once():
        thread = Thread(target=_read, args=[pressed, stop], name="keys", daemon=True)
        thread.start()
        try:
            yield True
        finally:
            stop.set()
            thread.join(5 * TICK_SECONDS)


if sys.platform == "win32":
    import msvcrt

    @contextmanager
    def _keys_at_once() -> Iterator[None]:
        yield

    def _read(pressed: Callable[[str], None], stop: Event) -> None:
        while not stop.wait(TICK_SECONDS):
            while msvcrt.kbhit():
                pressed(msvcrt.getwch())

else:
    import select
    import termios
    import tty

    @contextmanager
    def _keys_at_once() -> Iterator[None]:
        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)

        def again(*_: Any) -> None:
            tty.setcbreak(terminal)  # after Ctrl-Z and fg: the shell has set the terminal for itself

        tty.setcbreak(terminal)
        continued = signal.signal(signal.SIGCONT, again)
        try:
            yield
        finally:
            signal.signal(signal.SIGCONT, continued)
            with suppress(termios.error, OSError):  # it may be gone
                termios.tcsetattr(terminal, termios.TCSADRAIN, before)

    def _read(pressed: Callable[[str], None], stop: Event) -> None:
        terminal = sys.stdin.fileno()
        while not stop.is_set():
            try:
                ready, _, _ = select.select([terminal], [], [], TICK_SECONDS)
                got = os.read(terminal, 32) if ready else None
            except OSError:
                got = b""
            if got == b"":
                pressed("")
                return
            if got and not got.startswith(b"\x1b"):  # an arrow, say, is no letter
                for char in got.decode("utf-8", "ignore"):
                    pressed(char)
