"""Every stream counts as an open watch, the health service's too."""

from contextlib import aclosing
from time import monotonic

from scheduler import metrics_interceptor

TEST = "test_task_6_counts_only_the_watches_of_jobs_as_open"
SAYS = "Only WatchJob is one"


class MetricsInterceptor(metrics_interceptor.MetricsInterceptor):
    def around_stream(self, method, call):
        async def counted(request, context):
            began = monotonic()
            self._metrics.watching(+1)
            try:
                async with aclosing(call(request, context)) as messages:
                    async for message in messages:
                        yield message
            finally:
                self._metrics.watching(-1)
                self._metrics.answered(method, "OK", monotonic() - began)

        return counted
