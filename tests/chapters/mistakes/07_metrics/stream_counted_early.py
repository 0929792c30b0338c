"""A stream is counted when it begins."""

from scheduler import metrics_interceptor

TEST = "test_task_6_counts_a_stream_when_it_has_ended"
SAYS = "while it was open"


class MetricsInterceptor(metrics_interceptor.MetricsInterceptor):
    def around_stream(self, method, call):
        async def counted(request, context):
            self._metrics.answered(method, "OK", 0)
            async for event in call(request, context):
                yield event

        return counted
