"""Remembers what the code under test raised inside a server or a task, where the client only sees a status."""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import psycopg
from grpc import aio
from scheduler.errors import Draining, InvalidRequest, JobNotFound, LimitPassed

ANSWERS = (
    aio.AbortError,
    asyncio.CancelledError,
    GeneratorExit,
    InvalidRequest,
    JobNotFound,
    LimitPassed,
    Draining,
    psycopg.OperationalError,
)
"""Raising one of these is an answer, not a mistake: the server turns it into a status."""


class Recorder:
    """Wraps functions. `raise_first` raises the first mistake that any of them made."""

    def __init__(self) -> None:
        self.mistakes: list[BaseException] = []

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, remembered when it raises. Functions, generators and coroutines stay what they are."""
        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def generator(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
                try:
                    async with aclosing(function(*args, **kwargs)) as values:
                        async for value in values:
                            yield value
                except BaseException as error:
                    self._remember(error)
                    raise

            return generator
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                try:
                    return await function(*args, **kwargs)
                except BaseException as error:
                    self._remember(error)
                    raise

            return coroutine

        @functools.wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except BaseException as error:
                self._remember(error)
                raise

        return plain

    def raise_first(self) -> None:
        """Raise the first mistake, with its own traceback, and forget the rest; return if there is none."""
        if self.mistakes:
            first = self.mistakes[0]
            self.mistakes.clear()
            raise first

    def _remember(self, error: BaseException) -> None:
        if not isinstance(error, ANSWERS):
            self.mistakes.append(error)
