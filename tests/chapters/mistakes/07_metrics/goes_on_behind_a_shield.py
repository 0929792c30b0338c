"""A call whose client has left goes on, so that it can be counted at its end."""

import asyncio
from time import monotonic

from scheduler import metrics_interceptor

TEST = "test_task_6_agrees_with_the_reference_on_every_input"
SAYS = "what is still at work after a GetJob that"


class MetricsInterceptor(metrics_interceptor.MetricsInterceptor):
    def around_unary(self, method, call):
        async def counted(request, context):
            began = monotonic()
            return await asyncio.shield(self._to_its_end(method, call(request, context), context, began))

        return counted

    async def _to_its_end(self, method, call, context, began):
        code = "OK"
        try:
            return await call
        except BaseException as error:
            code = metrics_interceptor._code_of(error, context)
            raise
        finally:
            self._metrics.answered(method, code, monotonic() - began)
