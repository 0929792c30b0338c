"""The call is counted before it runs."""

from time import monotonic

from scheduler import metrics_interceptor

TEST = "test_task_6_counts_a_call_when_it_has_ended"
SAYS = "while it still ran"


class MetricsInterceptor(metrics_interceptor.MetricsInterceptor):
    def around_unary(self, method, call):
        async def counted(request, context):
            self._metrics.answered(method, "OK", 0)
            return await call(request, context)

        return counted
