"""Only calls that went well are counted."""

from time import monotonic

from scheduler import metrics_interceptor

TEST = "test_task_6_counts_a_call_that_was_refused"
SAYS = "nothing was counted"


class MetricsInterceptor(metrics_interceptor.MetricsInterceptor):
    def around_unary(self, method, call):
        async def counted(request, context):
            began = monotonic()
            answer = await call(request, context)
            self._metrics.answered(method, "OK", monotonic() - began)
            return answer

        return counted
