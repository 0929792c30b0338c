"""Who is let in: never too many calls, never too many bytes, and nobody once the server stops.

    calls      MAX_UNARY_CALLS at once, and MAX_WATCHES watches, so that watches never crowd out a submit
    others     a thousand streams of the health and the reflection service
    bytes      MAX_INFLIGHT_MIB of requests that are being worked on

It is the innermost interceptor, and reads the bytes of a request itself: so it knows how many there are, a request that
can't be read has a status of its own and is counted like any other, and a large one is read beside the event loop.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError

from scheduler.beside import Beside
from scheduler.config import Settings
from scheduler.errors import Context, LimitPassed, NotAMessage
from scheduler.gate import Gate, Stay
from scheduler.interceptors import Interceptor, Stream, Unary, as_generator
from scheduler.v1 import scheduler_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["SchedulerService"].full_name
MAX_OTHER_STREAMS = 1_000
MIB = 1024 * 1024

Read = Callable[[Any], Any]


class LimitInterceptor(Interceptor):
    """Refuses what is too much, what is no message, and everything while the server stops."""

    def __init__(self, settings: Settings, gate: Gate, beside: Beside) -> None:
        super().__init__()
        self._gate = gate
        self._beside = beside
        self._unary = _Limit(settings.max_unary_calls, "calls")
        self._watches = _Limit(settings.max_watches, "watches")
        self._others = _Limit(MAX_OTHER_STREAMS, "other streams")
        self._bytes = _Budget(settings.max_inflight_mib * MIB)

    def wrap(self, handler: Any, path: str) -> Any:
        read = partial(_read, handler.request_deserializer)
        ours = path.startswith(f"/{SERVICE}/")
        raw = handler._replace(request_deserializer=None)
        if handler.unary_unary is not None:
            unary = self._call if ours else _question
            return raw._replace(unary_unary=unary(read, handler.unary_unary))
        if handler.unary_stream is not None:
            door, limit = (self._gate.call, self._watches) if ours else (self._gate.visit, self._others)
            return raw._replace(unary_stream=_stream(read, as_generator(handler.unary_stream), door, limit))
        if handler.stream_stream is not None:
            call = as_generator(handler.stream_stream)
            read_each = partial(_each, read)
            return raw._replace(stream_stream=_stream(read_each, call, self._gate.visit, self._others))
        return handler

    def _call(self, read: Read, call: Unary) -> Unary:
        async def limited(raw: bytes, context: Context) -> Any:
            with await self._gate.call(), self._unary, self._bytes.take(len(raw)):
                return await call(await self._beside.run(len(raw), read, raw), context)

        return limited


def _question(read: Read, call: Unary) -> Unary:
    # Without a limit: a full server must still answer whether it is well, or it is taken for dead and restarted.
    async def unlimited(raw: bytes, context: Context) -> Any:
        return await call(read(raw), context)

    return unlimited


def _stream(read: Read, call: Stream, door: Callable[[], Awaitable[Stay]], limit: "_Limit") -> Stream:
    async def limited(raw: Any, context: Context) -> AsyncIterator[Any]:
        with await door(), limit:
            async with aclosing(call(read(raw), context)) as messages:  # type: ignore[type-var]
                async for message in messages:
                    yield message

    return limited


async def _each(read: Read, raws: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    async for raw in raws:
        yield read(raw)


def _read(parse: Read, raw: bytes) -> Any:
    try:
        return parse(raw)
    except DecodeError:
        raise NotAMessage from None


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


class _Budget:
    def __init__(self, most: int) -> None:
        self._most = most
        self._now = 0

    @contextmanager
    def take(self, size: int) -> Iterator[None]:
        if self._now + size > self._most:
            raise LimitPassed(
                f"the server works on {self._now // MIB} of {self._most // MIB} MiB of requests already; "
                "call again a little later"
            )
        self._now += size
        try:
            yield
        finally:
            self._now -= size
