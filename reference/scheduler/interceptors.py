"""What happens around every RPC: it is counted, its errors become statuses, and there are never too many at once.

    request ─▶ MetricsInterceptor ─▶ ErrorInterceptor ─▶ LimitInterceptor ─▶ the piece

The first of them is chapter 07's and stands in `metrics_interceptor`; the others are given to the learner.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
from grpc import aio

from scheduler.config import Settings
from scheduler.errors import Context, Errors, LimitPassed

Unary = Callable[[Any, Context], Awaitable[Any]]
Stream = Callable[[Any, Context], AsyncIterator[Any]]


class Interceptor(aio.ServerInterceptor):
    """Wraps every method that takes one request. Each method is wrapped once, at its first call."""

    def __init__(self) -> None:
        self._wrapped: dict[str, Any] = {}

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        method: str = handler_call_details.method
        if method not in self._wrapped:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None  # no such method: not kept, for a client may ask for any name
            self._wrapped[method] = self._wrap(handler, method.rpartition("/")[2])
        return self._wrapped[method]

    def _wrap(self, handler: Any, method: str) -> Any:
        if handler.request_streaming:
            return handler
        if handler.response_streaming:
            stream = self.around_stream(method, as_generator(handler.unary_stream))
            return grpc.unary_stream_rpc_method_handler(
                stream,
                handler.request_deserializer,
                handler.response_serializer,
            )
        unary = self.around_unary(method, handler.unary_unary)
        return grpc.unary_unary_rpc_method_handler(
            unary,
            handler.request_deserializer,
            handler.response_serializer,
        )

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
                await self._errors.abort(context, error)

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
                await self._errors.abort(context, error)

        return guarded


class LimitInterceptor(Interceptor):
    """Refuses what is too much. Watches last, so they have a limit of their own, and never crowd out a submit."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._unary = _Limit(settings.max_unary_calls, "calls")
        self._streams = _Limit(settings.max_watches, "watches")

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        # A full server must still answer whether it is well, or it is taken for dead and restarted.
        if handler_call_details.method.startswith("/grpc.health."):
            return await continuation(handler_call_details)
        return await super().intercept_service(continuation, handler_call_details)

    def around_unary(self, method: str, call: Unary) -> Unary:
        async def limited(request: Any, context: Context) -> Any:
            with self._unary:
                return await call(request, context)

        return limited

    def around_stream(self, method: str, call: Stream) -> Stream:
        async def limited(request: Any, context: Context) -> AsyncIterator[Any]:
            with self._streams:
                async with aclosing(call(request, context)) as messages:  # type: ignore[type-var]
                    async for message in messages:
                        yield message

        return limited


class _Limit:
    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._now = 0

    def __enter__(self) -> None:
        if self._now >= self._most:
            raise LimitPassed(
                f"the server has {self._most} {self._what} open already; call again a little later"
            )
        self._now += 1

    def __exit__(self, *_: object) -> None:
        self._now -= 1


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
