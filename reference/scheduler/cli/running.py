"""The event loop of a server: what starts it, what stops it, and how the process leaves."""

import asyncio
import importlib
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterable
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from scheduler.cli import leaving
from scheduler.cli.failures import Misused

log = logging.getLogger(__name__)

Loop = asyncio.AbstractEventLoop


def _nothing() -> None:
    """The default for `on_stop`."""


def run(
    work: Coroutine[Any, Any, None],
    *,
    grace_seconds: float,
    on_stop: Callable[[], None] = _nothing,
    stop_at_eof: bool = False,
) -> None:
    """Run `work` until it ends or is asked to stop: it is cancelled then, and its `finally` blocks drain.

    SIGINT and SIGTERM ask; so does the end of standard input with `stop_at_eof`. `on_stop` is called
    first. A second signal ends the process at once; and so does, a little after twice the grace, whatever holds it up.
    """
    loop = _loop_factory()()
    asyncio.set_event_loop(loop)
    task = loop.create_task(_until_stopped(work, grace_seconds, on_stop, stop_at_eof))
    try:
        while not task.done():
            _run_once(loop, task)
        task.result()
    finally:
        leaving.close(loop)
        asyncio.set_event_loop(None)


def _run_once(loop: Loop, task: asyncio.Task[None]) -> None:
    """Run the loop until the task has ended, or a callback of a handler's has ended the loop: that is not its right."""
    try:
        loop.run_until_complete(task)
    except (SystemExit, KeyboardInterrupt, RuntimeError) as error:
        if not task.done():
            log.error("something ended the event loop, which goes on: %r", error)
    except BaseException:
        if not task.done():
            raise


def _loop_factory() -> Callable[[], Loop]:
    if sys.platform == "win32":
        return asyncio.SelectorEventLoop  # psycopg does not work on the other one
    import uvloop

    return uvloop.new_event_loop


async def _until_stopped(
    work: Coroutine[Any, Any, None], grace_seconds: float, on_stop: Callable[[], None], stop_at_eof: bool
) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    stopping = False
    signalled = False

    @cache
    def leave_soon() -> None:
        leaving.leave_at_the_latest(2 * grace_seconds + leaving.CLOSING_SECONDS)

    def stop() -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            leave_soon()
            on_stop()
            task.cancel()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal signalled
        if signalled:
            leaving.end_children()
            os._exit(128 + number)
        signalled = True
        leave_soon()  # here too: the loop may be blocked
        loop.call_soon_threadsafe(stop)

    leaving.on_signals(on_signal)
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
            origin = "HANDLERS" if name in named else "--handlers"
            raise Misused(f"{origin}: the handlers in {name} can't be imported: {_where(error)}") from None
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
