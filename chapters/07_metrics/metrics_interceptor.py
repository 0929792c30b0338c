"""Chapter 07, task 6 (stretch): count every RPC, in one place. Read README.md beside this file first."""

import asyncio

import grpc
from grpc import aio
from scheduler.errors import Context
from scheduler.interceptors import Interceptor, Stream, Unary
from scheduler.no_metrics import NoMetrics

CODES = {code.value[0]: code.name for code in grpc.StatusCode}


class MetricsInterceptor(Interceptor):
    """Task 6: counts every RPC when it has ended, with its code and the seconds that it took.

    The base class is given. It calls `around_unary` or `around_stream` once for each method, and uses what they return
    in the method's place.
    """

    def __init__(self, metrics: NoMetrics) -> None:
        """Task 6: keep the metrics. The base class has an `__init__` too, without arguments."""
        raise NotImplementedError("07_metrics task 6: count every RPC")

    def around_unary(self, method: str, call: Unary) -> Unary:
        """Task 6: an async function that takes `(request, context)`, answers as `call` does, and is counted.

        Tell `self`'s metrics `answered(method, code, seconds)` when the call has ended, whatever its end was. An error
        goes on to whoever awaits, as if nobody had looked.

        Hint: which word of Python runs a line both after a `return` and after an exception?
        """
        raise NotImplementedError("07_metrics task 6: count every RPC with one answer")

    def around_stream(self, method: str, call: Stream) -> Stream:
        """Task 6: an async generator that takes `(request, context)`, yields what `call` yields, and is counted.

        As above; and while a WatchJob stream is open, the metrics' `watching` counts it: +1, and -1 at its end.

        Hint: what becomes of the inner generator when the client leaves?
        """
        raise NotImplementedError("07_metrics task 6: count every RPC with a stream of answers")


def code_of(error: BaseException, context: Context) -> str:
    """Given: the name of the code of an RPC that ended by raising `error`. One that raised nothing ended with `OK`."""
    if isinstance(error, aio.AbortError):
        code = context.code()  # a number in some versions of grpc.aio
        return code.name if isinstance(code, grpc.StatusCode) else CODES.get(code, "UNKNOWN")
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "CANCELLED"
    return "UNKNOWN"
