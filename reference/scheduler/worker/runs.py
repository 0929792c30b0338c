"""One run of a handler, the threads that work for it, and why nothing that it raises gets at its neighbours.

Whatever a handler begins, a task or a call of `asyncio.to_thread`, runs in a copy of the handler's context. So a
context variable says for whom it works.
"""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from scheduler.jobs import Job

T = TypeVar("T")

current: "contextvars.ContextVar[Run | None]" = contextvars.ContextVar("run", default=None)
"""The run that the code which asks works for."""


class Run:
    """One run of a handler."""

    __slots__ = ("ended", "job", "threads")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.ended = False
        """Whether nobody waits for it any more."""
        self.threads: set[Future[Any]] = set()
        """What runs for it in threads. A thread can't be stopped, so this may outlive the run."""

    def watch(self, work: "Future[Any]") -> None:
        self.threads.add(work)
        work.add_done_callback(self.threads.discard)


class Threads(ThreadPoolExecutor):
    """Threads of a process. It knows for whose run each one works, and waits at the end for none that still does."""

    def __init__(self, most: int, name: str) -> None:
        super().__init__(most, name)
        self._under_way: set[Future[Any]] = set()

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        work = super().submit(_contained, function, *args, **kwargs)
        self._under_way.add(work)
        work.add_done_callback(self._under_way.discard)
        if (run := current.get()) is not None:
            run.watch(work)
        return work

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait and not self._under_way, cancel_futures=cancel_futures)


def _contained(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    try:
        return function(*args, **kwargs)
    except (StopIteration, GeneratorExit) as error:
        # asyncio's futures can't hold the one, so whoever waited would wait for ever; the other closes the coroutine
        # that gets it, and all that wait for that one.
        raise RuntimeError(f"the handler raised {describe(error)}") from error


def take_care_of(loop: asyncio.AbstractEventLoop, most_threads: int) -> None:
    """Make a loop fit for other people's handlers, at most `most_threads` calls of `asyncio.to_thread` at once.

    A `sys.exit()` in a task that a handler began then fails that task, and no more. By itself asyncio lets SystemExit
    and KeyboardInterrupt through: they end the loop, and all jobs with it.
    """
    loop.set_default_executor(Threads(most_threads, "to_thread"))
    if not isinstance(loop.get_task_factory(), _GuardingFactory):
        loop.set_task_factory(_GuardingFactory(loop.get_task_factory() or asyncio.Task))


class _GuardingFactory:
    def __init__(self, before: Callable[..., Any]) -> None:
        self._before = before

    def __call__(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        context = options.get("context")
        run = current.get() if context is None else context.get(current)
        coro = coro if run is None else _Guarded(coro)
        if self._before is asyncio.Task:
            return asyncio.Task(coro, loop=loop, **options)
        return self._before(loop, coro, **options)


ENDS_MORE_THAN_A_TASK = (SystemExit, KeyboardInterrupt, GeneratorExit)


class _Guarded(Coroutine[Any, Any, T]):
    """A coroutine that raises nothing which ends the loop.

    No `async def` around it: if its task is cancelled before the first step, the coroutine would never be awaited.
    """

    __slots__ = ("_coro",)

    def __init__(self, coro: Coroutine[Any, Any, T]) -> None:
        self._coro = coro

    def send(self, value: Any) -> Any:
        try:
            return self._coro.send(value)
        except ENDS_MORE_THAN_A_TASK as error:
            raise as_exception(error) from error

    def throw(self, *error: Any) -> Any:
        try:
            return self._coro.throw(*error)
        except ENDS_MORE_THAN_A_TASK as raised:
            raise as_exception(raised) from raised

    def close(self) -> None:
        self._coro.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coro.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coro, name)  # what debuggers and tracebacks ask of a coroutine


def as_exception(error: BaseException) -> Exception:
    """What a handler raised, as an error like any other: `sys.exit()` in a handler ends an attempt and no process."""
    if isinstance(error, Exception):
        return error
    if isinstance(error, SystemExit):
        return RuntimeError(f"the handler called sys.exit({error.code!r})")
    if isinstance(error, asyncio.CancelledError):
        return RuntimeError("the handler let a cancellation of its own escape")
    return RuntimeError(f"the handler raised {describe(error)}")


MOST_OF_A_GROUP = 10


def describe(error: BaseException) -> str:
    """An error's name and text; of a group, those of its members too. Never raises, whatever the error's class does."""
    try:
        text = str(error)
        if isinstance(error, BaseExceptionGroup):
            text += ": " + "; ".join(map(describe, error.exceptions[:MOST_OF_A_GROUP]))
    except BaseException:
        text = "its text can't be shown"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
