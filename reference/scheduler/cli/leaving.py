"""How a process leaves, whatever its handlers do.

A handler may hold on to its cancellation, block the event loop, or sit in a thread that nothing can stop. None of them
keeps the process: what may still run is named in the log, and its job is left to its lease.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from scheduler.duties import cancel_and_wait

log = logging.getLogger(__name__)

CLOSING_SECONDS = 10.0
"""How long a process may take beyond twice the grace, for closing its connections and the like."""
LET_GO_SECONDS = 1.0
"""How long tasks that are left have for ending when they are cancelled; they had their grace before."""
NOT_IN_ORDER = 1


def leave_at_the_latest(seconds: float) -> None:
    """From a thread that nothing holds up: end the process after so many seconds, if it is still there then."""

    def wait() -> None:
        time.sleep(seconds)
        log.error("not stopped %.0f s after it was asked to: %s", seconds, _where(threading.main_thread()))
        _end_now(NOT_IN_ORDER)

    threading.Thread(target=wait, name="leave", daemon=True).start()


def close(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left on a loop and close it; end the process if a task does not let go."""
    held = loop.run_until_complete(_cancel_all())
    if held:
        failed = sys.exc_info()[1]
        if failed is not None:
            log.error("leaving for an error", exc_info=failed)
        _end_now(NOT_IN_ORDER if failed is not None else 0)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def leave() -> None:
    """End the process now if handlers still run in threads: those can't be stopped, and exit would wait for them."""
    end_children()
    if _unfinished():
        _end_now(0)


async def _cancel_all() -> bool:
    """Cancel all other tasks; whether some have not ended."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    try:
        async with asyncio.timeout(LET_GO_SECONDS):
            await cancel_and_wait(left)
    except TimeoutError:
        return True
    return False


def _end_now(code: int) -> None:
    from scheduler.cli.show import printable

    if names := _unfinished():
        listed = printable(", ".join(names[:10]))
        log.warning("leaving without %d handlers, their leases will run out: %s", len(names), listed)
    end_children()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


def _unfinished() -> list[str]:
    from scheduler.worker.handlers import handlers

    return [f"{job.type} ({job.task_id})" for job in handlers.unfinished()]


def end_children() -> None:
    """End the processes that handlers have begun with `multiprocessing`: exit would wait for some of them."""
    if "multiprocessing" in sys.modules:
        import multiprocessing

        for child in multiprocessing.active_children():
            child.terminate()


def _where(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    if frame is None:
        return "it runs no Python code"
    return f"it is in {frame.f_code.co_filename}, line {frame.f_lineno}"


SIGNALS = (signal.SIGINT, signal.SIGTERM)

_before: dict[signal.Signals, Any] = {}
_mask = threading.local()


def on_signals(handle: Callable[[int, FrameType | None], None]) -> None:
    """Call `handle` at SIGINT and SIGTERM, in this process and in none that a handler forks.

    A child would inherit it, hear the signal that was to end it, and tell a loop that it does not have.
    """
    if not _before and hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_hold_signals, after_in_parent=_release_signals, after_in_child=_be_a_child
        )
    for number in SIGNALS:
        _before.setdefault(number, signal.getsignal(number))
        signal.signal(number, handle)


def _hold_signals() -> None:
    # Or else one that reaches the child in its first moments would be lost on the handler that it is about to forget.
    _mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _mask.before)


def _be_a_child() -> None:
    for number, handle in _before.items():
        signal.signal(number, handle)
    signal.set_wakeup_fd(-1)
    _release_signals()
