"""The generator within is left open when the outer one is closed."""

from time import monotonic

from scheduler import metrics_interceptor

TEST = "test_task_6_closes_the_generator_within"
SAYS = "is still open"


class MetricsInterceptor(metrics_interceptor.MetricsInterceptor):
    def around_stream(self, method, call):
        async def counted(request, context):
            began = monotonic()
            code = "CANCELLED"
            self._metrics.watching(+1)
            try:
                async for message in call(request, context):
                    yield message
                code = "OK"
            finally:
                self._metrics.watching(-1)
                self._metrics.answered(method, code, monotonic() - began)

        return counted
