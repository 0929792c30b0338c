"""The inner generator is closed before the counting, in the same `finally`; if its clean-up raises, or is cancelled, the stream is never counted and the gauge stays one too high."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc import aio
from scheduler.errors import Context
from scheduler.interceptors import Interceptor, Stream, Unary
from scheduler.no_metrics import NoMetrics

TEST = "test_task_6_agrees_with_the_reference_on_every_input"
SAYS = "is closed after its first event, and fails as it tidies up: expected"

CODES = {code.value[0]: code.name for code in grpc.StatusCode}


class MetricsInterceptor(Interceptor):
    """Counts every RPC when it has ended, with its code and the seconds that it took."""

    def __init__(self, metrics: NoMetrics) -> None:
        super().__init__()
        self._metrics = metrics

    def around_unary(self, method: str, call: Unary) -> Unary:
        async def counted(request: Any, context: Context) -> Any:
            began = time.monotonic()
            code = "OK"
            try:
                return await call(request, context)
            except BaseException as error:
                code = code_of(error, context)
                raise
            finally:
                self._metrics.answered(method, code, time.monotonic() - began)

        return counted

    def around_stream(self, method: str, call: Stream) -> Stream:
        is_watch = method == "WatchJob"

        async def counted(request: Any, context: Context) -> AsyncIterator[Any]:
            began = time.monotonic()
            code = "OK"
            if is_watch:
                self._metrics.watching(+1)
            events = call(request, context)
            try:
                async for event in events:
                    yield event
            except BaseException as error:
                code = code_of(error, context)
                raise
            finally:
                await events.aclose()  # type: ignore[attr-defined]
                if is_watch:
                    self._metrics.watching(-1)
                self._metrics.answered(method, code, time.monotonic() - began)

        return counted


def code_of(error: BaseException, context: Context) -> str:
    """Given: the name of the code of an RPC that ended by raising `error`. One that raised nothing ended with `OK`."""
    if isinstance(error, aio.AbortError):
        code = context.code()  # a number in some versions of grpc.aio
        return code.name if isinstance(code, grpc.StatusCode) else CODES.get(code, "UNKNOWN")
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "CANCELLED"
    return "UNKNOWN"
