"""While a watch is open a task looks at it from time to time, and goes on when it is closed."""

import asyncio

from scheduler import metrics_interceptor

TEST = "test_task_6_agrees_with_the_reference_on_every_input"
SAYS = "what is still at work after a WatchJob that"


async def tick():
    while True:
        await asyncio.sleep(60)


class MetricsInterceptor(metrics_interceptor.MetricsInterceptor):
    def around_stream(self, method, call):
        counted = super().around_stream(method, call)

        async def ticking(request, context):
            self.ticking = asyncio.create_task(tick())
            stream = counted(request, context)
            try:
                async for event in stream:
                    yield event
            finally:
                await stream.aclose()

        return ticking
