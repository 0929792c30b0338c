"""The start is kept for each method, not for each call: a second call of the method sets back the first one's watch."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
from grpc import aio
from scheduler.errors import Context
from scheduler.interceptors import Interceptor, Stream, Unary
from scheduler.no_metrics import NoMetrics

TEST = "test_task_6_agrees_with_the_reference_on_every_input"
SAYS = "of a short GetJob within a long GetJob"

CODES = {code.value[0]: code.name for code in grpc.StatusCode}


class MetricsInterceptor(Interceptor):
    """Counts every RPC when it has ended, with its code and the seconds that it took."""

    def __init__(self, metrics: NoMetrics) -> None:
        super().__init__()
        self._metrics = metrics
        self._began: dict[str, float] = {}

    def around_unary(self, method: str, call: Unary) -> Unary:
        async def counted(request: Any, context: Context) -> Any:
            self._began[method] = time.monotonic()
            code = "OK"
            try:
                return await call(request, context)
            except BaseException as error:
                code = code_of(error, context)
                raise
            finally:
                self._metrics.answered(method, code, time.monotonic() - self._began[method])

        return counted

    def around_stream(self, method: str, call: Stream) -> Stream:
        is_watch = method == "WatchJob"

        async def counted(request: Any, context: Context) -> AsyncIterator[Any]:
            self._began[method] = time.monotonic()
            code = "OK"
            if is_watch:
                self._metrics.watching(+1)
            try:
                async with aclosing(call(request, context)) as events:  # type: ignore[type-var]
                    async for event in events:
                        yield event
            except BaseException as error:
                code = code_of(error, context)
                raise
            finally:
                if is_watch:
                    self._metrics.watching(-1)
                self._metrics.answered(method, code, time.monotonic() - self._began[method])

        return counted


def code_of(error: BaseException, context: Context) -> str:
    """Given: the name of the code of an RPC that ended by raising `error`. One that raised nothing ended with `OK`."""
    if isinstance(error, aio.AbortError):
        code = context.code()  # a number in some versions of grpc.aio
        return code.name if isinstance(code, grpc.StatusCode) else CODES.get(code, "UNKNOWN")
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "CANCELLED"
    return "UNKNOWN"
