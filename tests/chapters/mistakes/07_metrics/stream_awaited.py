"""A stream is awaited as if it were one answer."""

from scheduler import metrics_interceptor

TEST = "test_task_6_passes_each_event_of_a_stream_on"
SAYS = "an error in the interceptor reached the client"


class MetricsInterceptor(metrics_interceptor.MetricsInterceptor):
    def around_stream(self, method, call):
        return self.around_unary(method, call)
