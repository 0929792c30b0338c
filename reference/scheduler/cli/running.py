"""The event loop of a server: what starts it, what stops it, and how the process leaves."""

import asyncio
import importlib
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from scheduler.cli.failures import Misused

log = logging.getLogger(__name__)

Loop = asyncio.AbstractEventLoop


def _nothing() -> None:
    """The default for `on_stop`."""


def run(
    work: Coroutine[Any, Any, None], *, on_stop: Callable[[], None] = _nothing, stop_at_eof: bool = False
) -> None:
    """Run `work` until it ends or is asked to stop: it is cancelled then, and its `finally` blocks drain.

    SIGINT and SIGTERM ask; so does the end of standard input with `stop_at_eof`. `on_stop` is called
    first. A second signal ends the process at once.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_until_stopped(work, on_stop, stop_at_eof))


def _loop_factory() -> Callable[[], Loop]:
    if sys.platform == "win32":
        return asyncio.SelectorEventLoop  # psycopg does not work on the other one
    import uvloop

    return uvloop.new_event_loop


async def _until_stopped(
    work: Coroutine[Any, Any, None], on_stop: Callable[[], None], stop_at_eof: bool
) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    stopping = False
    signalled = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            on_stop()
            task.cancel()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal signalled
        if signalled:
            os._exit(128 + number)
        signalled = True
        loop.call_soon_threadsafe(stop)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    if stop_at_eof:
        threading.Thread(target=_watch_stdin, args=[loop, stop], daemon=True).start()
    try:
        await task
    except asyncio.CancelledError:
        if not stopping:
            raise


def _watch_stdin(loop: Loop, stop: Callable[[], None]) -> None:
    """The kernel closes the other end of this pipe however its holder ends, kill -9 included."""
    # os.read, not sys.stdin: a thread that waits in sys.stdin at exit makes the interpreter abort.
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stop)


def leave() -> None:
    """End the process now if a plain handler still runs: a thread can't be stopped, and exit would wait for it."""
    from scheduler.worker.handlers import handlers

    if left := handlers.abandoned():
        log.warning("%d handlers still run in threads; leaving without them, their leases will run out", left)
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


def load_handlers(modules: Iterable[str]) -> list[str]:
    """Import modules, so that their `@handler` functions are registered: those given, and those that HANDLERS names.

    Returns their names. Raises `Misused` with a sentence that says where an import failed.
    """
    named = [name.strip() for name in os.environ.get("HANDLERS", "").split(",") if name.strip()]
    names = list(dict.fromkeys([*named, *modules]))
    # As `python -m` does: a module beside the user's feet is found.
    if names and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            raise Misused(f"the handlers in {name} can't be imported: {_where(error)}") from None
    return names


def _where(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.msg} ({error.filename}, line {error.lineno})"
    text = f"{type(error).__name__}: {error}"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename
    ]
    if len(frames) < 2:
        return text  # there is no such module
    return f"{text} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
