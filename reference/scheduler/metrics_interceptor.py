"""Chapter 07: every RPC is counted, in one place, without a line in any handler."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from time import monotonic
from typing import Any, cast

import grpc
from grpc import aio

from scheduler.errors import Context
from scheduler.interceptors import Interceptor, Stream, Unary
from scheduler.no_metrics import NoMetrics

CODES = {code.value[0]: code.name for code in grpc.StatusCode}


class MetricsInterceptor(Interceptor):
    """Counts every RPC when it has ended, with the code that the client got and the time that it took."""

    def __init__(self, metrics: NoMetrics) -> None:
        super().__init__()
        self._metrics = metrics

    def around_unary(self, method: str, call: Unary) -> Unary:
        async def counted(request: Any, context: Context) -> Any:
            began = monotonic()
            code = "OK"
            try:
                return await call(request, context)
            except BaseException as error:
                code = _code_of(error, context)
                raise
            finally:
                self._metrics.answered(method, code, monotonic() - began)

        return counted

    def around_stream(self, method: str, call: Stream) -> Stream:
        watches = int(method == "WatchJob")  # the health service has a stream as well

        async def counted(request: Any, context: Context) -> AsyncIterator[Any]:
            began = monotonic()
            code = "OK"
            self._metrics.watching(+watches)
            try:
                async with aclosing(call(request, context)) as messages:  # type: ignore[type-var]
                    async for message in messages:
                        yield message
            except BaseException as error:
                code = _code_of(error, context)
                raise
            finally:
                self._metrics.watching(-watches)
                self._metrics.answered(method, code, monotonic() - began)

        return counted


def _code_of(error: BaseException, context: Context) -> str:
    match error:
        case aio.AbortError():
            code = cast("grpc.StatusCode | int", context.code())  # some versions of grpc.aio give the number
            return code.name if isinstance(code, grpc.StatusCode) else CODES.get(code, "UNKNOWN")
        case asyncio.CancelledError() | GeneratorExit():
            return "CANCELLED"
        case _:
            return "UNKNOWN"
