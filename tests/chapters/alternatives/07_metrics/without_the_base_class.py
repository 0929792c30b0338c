"""A bare grpc.aio interceptor: it replaces the handler at each call, and writes a stream's events to the context."""

import asyncio
import time

import grpc
from grpc import aio

TASKS = [6]

NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


class MetricsInterceptor(aio.ServerInterceptor):
    def __init__(self, metrics):
        self.metrics = metrics

    async def intercept_service(self, continuation, handler_call_details):
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_streaming:
            return handler
        method = handler_call_details.method.split("/")[-1]

        async def unary(request, context):
            return await self.count(method, context, handler.unary_unary(request, context))

        async def stream(request, context):
            watches = 1 if method == "WatchJob" else 0
            self.metrics.watching(watches)
            try:
                await self.count(method, context, self.write_all(handler.unary_stream, request, context))
            finally:
                self.metrics.watching(-watches)

        kinds = (handler.request_deserializer, handler.response_serializer)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, *kinds)
        return grpc.unary_unary_rpc_method_handler(unary, *kinds)

    async def write_all(self, method, request, context):
        async for event in method(request, context):
            await context.write(event)

    async def count(self, method, context, work):
        start = time.monotonic()
        task = asyncio.ensure_future(work)
        try:
            answer = await task
        except BaseException as error:
            self.metrics.answered(method, self.name(error, context), time.monotonic() - start)
            raise
        self.metrics.answered(method, "OK", time.monotonic() - start)
        return answer

    def name(self, error, context):
        if isinstance(error, asyncio.CancelledError):
            return "CANCELLED"
        if isinstance(error, aio.AbortError):
            return NAMES.get(context.code(), getattr(context.code(), "name", "UNKNOWN"))
        return "UNKNOWN"
