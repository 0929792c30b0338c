"""`except Exception` does not see a client leave."""

from scheduler import metrics_interceptor

TEST = "test_task_6_counts_a_stream_that_its_client_left"
SAYS = "nothing was counted"


class MetricsInterceptor(metrics_interceptor.MetricsInterceptor):
    def around_stream(self, method, call):
        async def counted(request, context):
            try:
                async for event in call(request, context):
                    yield event
            except Exception:
                self._metrics.answered(method, "UNKNOWN", 0)
                raise
            self._metrics.answered(method, "OK", 0)

        return counted
