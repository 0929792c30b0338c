import time
from contextlib import aclosing

from prometheus_client import Counter, Gauge, Histogram
from scheduler.interceptors import Interceptor
from workbook.loader import earlier


class Metrics(earlier("Metrics")):
    def __init__(self, registry):
        super().__init__(registry)
        self.watches = Gauge("scheduler_watch_streams", "Open watches", registry=registry)
        self.calls = Counter("scheduler_grpc_requests", "RPCs", ["method", "code"], registry=registry)
        self.call_time = Histogram("scheduler_grpc_request_seconds", "RPCs", ["method"], registry=registry)

    def watching(self, change):
        self.watches.inc(change)

    def answered(self, method, code, seconds):
        self.calls.labels(method, code).inc()
        self.call_time.labels(method).observe(seconds)


def build_metrics(registry):
    return Metrics(registry)


code_of = earlier("code_of")


class MetricsInterceptor(Interceptor):
    def __init__(self, metrics):
        super().__init__()
        self.metrics = metrics

    def around_unary(self, method, call):
        async def counted(request, context):
            start = time.monotonic()
            code = "OK"
            try:
                return await call(request, context)
            except BaseException as error:
                code = code_of(error, context)
                raise
            finally:
                self.metrics.answered(method, code, time.monotonic() - start)

        return counted

    def around_stream(self, method, call):
        async def counted(request, context):
            start = time.monotonic()
            code = "OK"
            change = 1 if method == "WatchJob" else 0
            self.metrics.watching(change)
            try:
                async with aclosing(call(request, context)) as events:
                    async for event in events:
                        yield event
            except BaseException as error:
                code = code_of(error, context)
                raise
            finally:
                self.metrics.watching(-change)
                self.metrics.answered(method, code, time.monotonic() - start)

        return counted
