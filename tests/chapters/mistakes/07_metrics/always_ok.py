"""Every call is counted as OK."""

from time import monotonic

from scheduler import metrics_interceptor

TEST = "test_task_6_counts_a_call_that_was_refused"
SAYS = "counted as OK, and the client got NOT_FOUND"


class MetricsInterceptor(metrics_interceptor.MetricsInterceptor):
    def around_unary(self, method, call):
        async def counted(request, context):
            began = monotonic()
            try:
                return await call(request, context)
            finally:
                self._metrics.answered(method, "OK", monotonic() - began)

        return counted
