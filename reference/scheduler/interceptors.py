"""What happens around every RPC: it is counted, its errors become statuses, and there are never too many at once.

    request ─▶ MetricsInterceptor ─▶ ErrorInterceptor ─▶ LimitInterceptor ─▶ the piece

The first of them is chapter 07's and stands in `metrics_interceptor`, the last in `limits`; all but the first are given
to the learner.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from grpc import aio

from scheduler.errors import Context, Errors

Unary = Callable[[Any, Context], Awaitable[Any]]
Stream = Callable[[Any, Context], AsyncIterator[Any]]


class Interceptor(aio.ServerInterceptor):
    """Wraps every method. Each method is wrapped once, at its first call."""

    def __init__(self) -> None:
        self._wrapped: dict[str, Any] = {}

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        path: str = handler_call_details.method
        if path not in self._wrapped:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None  # no such method: not kept, for a client may ask for any name
            self._wrapped[path] = self.wrap(handler, path)
        return self._wrapped[path]

    def wrap(self, handler: Any, path: str) -> Any:
        """The same handler with `around_unary` or `around_stream` around it. `path` is `/package.Service/Method`."""
        method = path.rpartition("/")[2]
        if handler.unary_unary is not None:
            unary = self.around_unary(method, handler.unary_unary)
            return handler._replace(unary_unary=unary)
        if handler.unary_stream is not None:
            return handler._replace(unary_stream=self._around(method, handler.unary_stream))
        if handler.stream_stream is not None:  # its request is an async iterator of messages
            return handler._replace(stream_stream=self._around(method, handler.stream_stream))
        return handler

    def _around(self, method: str, call: Any) -> Stream:
        return self.around_stream(method, as_generator(call))

    def around_unary(self, method: str, call: Unary) -> Unary:
        raise NotImplementedError

    def around_stream(self, method: str, call: Stream) -> Stream:
        raise NotImplementedError


class ErrorInterceptor(Interceptor):
    """Turns what a piece raises into the status that it stands for."""

    def __init__(self, errors: Errors) -> None:
        super().__init__()
        self._errors = errors

    def around_unary(self, method: str, call: Unary) -> Unary:
        async def guarded(request: Any, context: Context) -> Any:
            try:
                return await call(request, context)
            except aio.AbortError:
                raise
            except Exception as error:
                await self._refuse(context, error)

        return guarded

    def around_stream(self, method: str, call: Stream) -> Stream:
        async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:
            try:
                async with aclosing(call(request, context)) as messages:  # type: ignore[type-var]
                    async for message in messages:
                        yield message
            except aio.AbortError:
                raise
            except Exception as error:
                await self._refuse(context, error)

        return guarded

    async def _refuse(self, context: Context, error: Exception) -> None:
        try:
            if isinstance(error, aio.InternalError):
                raise error
            await self._errors.abort(context, error)
        except aio.InternalError:
            # gRPC can't send any more, for nobody is there to hear it: the client left while it was being refused.
            raise asyncio.CancelledError from None


def as_generator(call: Any) -> Stream:
    """A streaming method as an async generator, whether it yields its messages or writes them to the context."""

    async def generate(request: Any, context: Context) -> AsyncIterator[Any]:
        answer = call(request, context)
        if hasattr(answer, "__aiter__"):
            async with aclosing(answer) as messages:
                async for message in messages:
                    yield message
        else:
            await answer

    return generate
