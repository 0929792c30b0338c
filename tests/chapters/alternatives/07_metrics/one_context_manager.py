"""One context manager that both kinds of call enter; no aclosing, but aclose by hand."""

import asyncio
import time
from contextlib import contextmanager

import grpc
from grpc import aio
from scheduler.interceptors import Interceptor

TASKS = [6]

NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


class MetricsInterceptor(Interceptor):
    def __init__(self, metrics):
        super().__init__()
        self.metrics = metrics

    @contextmanager
    def counting(self, method, context):
        start = time.perf_counter()
        outcome = "UNKNOWN"
        try:
            yield
            outcome = "OK"
        except aio.AbortError:
            code = context.code()
            outcome = getattr(code, "name", None) or NAMES[code]
            raise
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "CANCELLED"
            raise
        finally:
            self.metrics.answered(method, outcome, time.perf_counter() - start)

    def around_unary(self, method, call):
        async def unary(request, context):
            with self.counting(method, context):
                return await call(request, context)

        return unary

    def around_stream(self, method, call):
        async def stream(request, context):
            with self.counting(method, context):
                self.metrics.watching(method == "WatchJob")
                events = call(request, context)
                try:
                    async for event in events:
                        yield event
                finally:
                    self.metrics.watching(-(method == "WatchJob"))
                    await events.aclose()

        return stream
