"""A TCP proxy in front of a real service, so that a test can make the service go away without touching it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr
from scheduler.config import Settings


class Proxy:
    """Passes bytes on to a service, until it is told not to.

    `refuse` is a service that is down: its connections end, and new ones are refused. `cut` is one that restarts: its
    connections end, and new ones are served. `stall` is one that hangs, or a network that swallows everything.
    `restore` ends a refusal and a stall.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        # A second socket keeps the port ours while nothing listens on it.
        self._reserved = _bound_socket(0)
        self.port: int = self._reserved.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.answered = 0
        """How many bytes the service has sent."""

    async def open(self) -> None:
        listener = _bound_socket(self.port)
        self._server = await asyncio.start_server(self._serve, sock=listener)

    async def refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def stall(self) -> None:
        self._flowing.clear()

    async def restore(self) -> None:
        self._flowing.set()
        if self._server is None:
            await self.open()

    async def close(self) -> None:
        await self.refuse()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._reserved.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        onward = None
        try:
            await self._flowing.wait()
            there, onward = await asyncio.open_connection(*self._target)
            self._writers.add(onward)
            await asyncio.gather(self._pass_on(reader, onward), self._pass_back(there, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, onward):
                if end is not None:
                    self._writers.discard(end)
                    end.transport.abort()
            self._tasks.discard(task)

    async def _pass_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._flowing.wait()
            self.answered += len(data)
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.close()


@asynccontextmanager
async def proxied_redis(settings: Settings) -> AsyncIterator[tuple[Settings, Proxy]]:
    """The same settings, with Redis behind a proxy."""
    assert settings.redis_host is not None
    async with _proxy(settings.redis_host, settings.redis_port) as proxy:
        yield settings.model_copy(update={"redis_host": "127.0.0.1", "redis_port": proxy.port}), proxy


@asynccontextmanager
async def proxied_database(settings: Settings) -> AsyncIterator[tuple[Settings, Proxy]]:
    """The same settings, with the database behind a proxy."""
    url = urlsplit(settings.database_conninfo())
    async with _proxy(url.hostname or "127.0.0.1", url.port or 5432) as proxy:
        login = url.netloc.rpartition("@")[0]
        there = urlunsplit(url._replace(netloc=f"{login}@127.0.0.1:{proxy.port}"))
        yield settings.model_copy(update={"database_url": SecretStr(there)}), proxy


@asynccontextmanager
async def _proxy(host: str, port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(host, port)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()


def _bound_socket(port: int) -> socket.socket:
    made = socket.socket()
    if hasattr(socket, "SO_REUSEPORT"):
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made
