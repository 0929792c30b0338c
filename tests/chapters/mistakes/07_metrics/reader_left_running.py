"""A task of its own reads the events, and nobody ends it when the client leaves."""

import asyncio
from time import monotonic

from scheduler import metrics_interceptor

TEST = "test_task_6_agrees_with_the_reference_on_every_input"
SAYS = "what is still at work after a WatchJob that"


class MetricsInterceptor(metrics_interceptor.MetricsInterceptor):
    def around_stream(self, method, call):
        async def counted(request, context):
            began, code = monotonic(), "OK"
            events = asyncio.Queue()

            async def read():
                try:
                    async for event in call(request, context):
                        events.put_nowait((event, None))
                    events.put_nowait((None, None))
                except BaseException as error:
                    events.put_nowait((None, error))

            change = 1 if method == "WatchJob" else 0
            self._metrics.watching(change)
            reading = asyncio.create_task(read())
            try:
                while True:
                    event, error = await events.get()
                    if error is not None:
                        raise error
                    if event is None:
                        await reading
                        return
                    yield event
            except BaseException as error:
                code = metrics_interceptor._code_of(error, context)
                raise
            finally:
                self._metrics.watching(-change)
                self._metrics.answered(method, code, monotonic() - began)

        return counted
