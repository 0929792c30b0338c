"""Remembers what the code under test raised inside a server or a task, where the client only sees a status."""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg
from grpc import aio
from scheduler.errors import Draining, InvalidRequest, JobNotFound, LimitPassed

from workbook.watchdog import Ended

ANSWERS = (
    aio.AbortError,
    asyncio.CancelledError,
    GeneratorExit,
    InvalidRequest,
    JobNotFound,
    LimitPassed,
    Draining,
    psycopg.OperationalError,
    Ended,
)
"""Raising one of these is an answer, not a mistake: the server turns it into a status. (`Ended` is the watchdog's.)"""

CALL = "workbook-call"
"""The metadata that tells a call from the others."""

_within_a_piece: ContextVar[bool] = ContextVar("within a piece", default=False)


class Recorder:
    """Wraps functions. `raise_first` raises the first mistake that any of them made."""

    def __init__(self) -> None:
        self.mistakes: list[BaseException] = []
        self.slow: dict[str, asyncio.Event] = {}
        """Calls whose clients take no more after an event until this is set, by the names of `CALL`."""
        self._at_work: list[str] = []
        self.door: asyncio.Event | None = None
        """If there is one, calls wait for it before the code under test sees them."""

    def is_at_work(self, call: str) -> bool:
        """Whether a piece still works on this call. One that was aborted has its answer before its piece has ended."""
        return call in self._at_work

    def calls_at_work(self) -> int:
        """How many calls, or runs of pieces, have not ended."""
        return len(self._at_work)

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, remembered when it raises. Functions, generators and coroutines stay what they are."""
        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def generator(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
                taken = self.slow.get(_call_of(args))
                try:
                    async with aclosing(function(*args, **kwargs)) as values:
                        async for value in values:
                            yield value
                            if taken is not None:
                                await taken.wait()
                except BaseException as error:
                    self._remember(error)
                    _raise_for_a_server(error)
                    raise

            return generator
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                call = _call_of(args)
                if call in self.slow:
                    args = tuple(
                        _SlowContext(one, self.slow[call]) if _is_context(one) else one for one in args
                    )
                with self._remembering(), self._working_on(call):
                    if self.door is not None:
                        await self.door.wait()
                    return await function(*args, **kwargs)

            return coroutine

        @functools.wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:
            with self._remembering():
                return function(*args, **kwargs)

        return plain

    @contextmanager
    def _working_on(self, call: str) -> Iterator[None]:
        self._at_work.append(call)
        try:
            yield
        finally:
            self._at_work.remove(call)

    def raise_first(self) -> None:
        """Raise the first mistake, with its own traceback, and forget the rest; return if there is none."""
        if self.mistakes:
            first = self.mistakes[0]
            self.mistakes.clear()
            raise first

    @contextmanager
    def _remembering(self) -> Iterator[None]:
        """Remember what the block raises; but what one piece raises within another is for that other to judge."""
        outermost = not _within_a_piece.get()
        token = _within_a_piece.set(True)
        try:
            yield
        except BaseException as error:
            if outermost:
                self._remember(error)
            _raise_for_a_server(error)
            raise
        finally:
            _within_a_piece.reset(token)

    def _remember(self, error: BaseException) -> None:
        if not isinstance(error, ANSWERS):
            self.mistakes.append(error)


def within_a_piece() -> bool:
    """Whether what runs now was begun by a piece of the code under test."""
    return _within_a_piece.get()


class _SlowContext:
    """The context of a call whose client takes no more until the event is set."""

    def __init__(self, context: Any, taken: asyncio.Event) -> None:
        self._context = context
        self._taken = taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def write(self, message: Any) -> None:
        await self._context.write(message)
        await self._taken.wait()


def _is_context(value: Any) -> bool:
    return hasattr(value, "invocation_metadata")


def _call_of(args: tuple[Any, ...]) -> str:
    """The name that a test gave to the call for which a piece gets these arguments; empty if it gave none."""
    contexts = filter(_is_context, args)
    metadata = next((one.invocation_metadata() or () for one in contexts), ())
    return next((str(value) for key, value in metadata if key == CALL), "")


def _raise_for_a_server(error: BaseException) -> None:
    """What would end the loop of the server, and with it every answer, goes on as an error like any other."""
    if not isinstance(error, Exception) and not isinstance(error, ANSWERS):
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
