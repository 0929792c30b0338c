"""Watches are counted up, and down only when they end well."""

from scheduler import metrics_interceptor

TEST = "test_task_6_shows_how_many_watches_are_open"
SAYS = "count down in a finally"


class MetricsInterceptor(metrics_interceptor.MetricsInterceptor):
    def around_stream(self, method, call):
        async def counted(request, context):
            self._metrics.watching(+1)
            async for event in call(request, context):
                yield event
            self._metrics.watching(-1)

        return counted
