"""The base class is not initialized."""

from scheduler import metrics_interceptor

TEST = "test_task_6_counts_a_call_that_went_well"
SAYS = "call super().__init__()"


class MetricsInterceptor(metrics_interceptor.MetricsInterceptor):
    def __init__(self, metrics):
        self._metrics = metrics
