"""A TCP proxy that does to a connection what networks do: cut it, refuse it, hold it up, or lose a reply."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

POSTGRES_IS_READY = b"Z\x00\x00\x00\x05I"


class Proxy:
    """Stands between a client and a server on loopback. Nothing is wrong until a test says so."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._moves = asyncio.Event()
        self._moves.set()
        self._marker: bytes | None = None
        self._lets_through = False
        self._reply_is_whole: Callable[[bytes], bool] = bool
        self.fired = asyncio.Event()
        """Set once the request that `cut_before` or `cut_after` waits for has come and been cut."""
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def away(self) -> None:
        """The server is away: connections are cut, and new ones refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.cut()

    async def back(self) -> None:
        await self.open()

    async def cut(self) -> None:
        """Cut every connection that is open; new ones work."""
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def lead_to(self, target_port: int) -> None:
        """New connections go to another server; those that are open stay where they are."""
        self._target_port = target_port

    def stall(self) -> None:
        """The network swallows everything, and tells nobody."""
        self._moves.clear()

    def resume(self) -> None:
        self._moves.set()

    def cut_before(self, marker: bytes) -> None:
        """Cut the connection of the next request with `marker` in it; the server never sees it."""
        self._marker, self._lets_through = marker, False
        self.fired.clear()

    def cut_after(self, marker: bytes, whole: Callable[[bytes], bool] = bool) -> None:
        """Let the next request with `marker` in it through, wait for the reply, lose that, and cut the connection.

        `whole` says whether the bytes that came are a whole reply, so that the server has done what was asked.
        """
        self._marker, self._lets_through, self._reply_is_whole = marker, True, whole
        self.fired.clear()

    async def close(self) -> None:
        self.resume()
        await self.away()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                if self._server is not None:  # else it was accepted in the turn in which the server went away
                    await self._join(reader, writer)
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        connection = _Connection(self, reader, writer, server_reader, server_writer)
        ways = [asyncio.create_task(connection.requests()), asyncio.create_task(connection.replies())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            server_writer.transport.abort()

    async def moving(self) -> None:
        await self._moves.wait()

    def must_cut(self, request: bytes) -> bool:
        if self._marker is None or self._marker not in request:
            return False
        self._marker = None
        return True

    @property
    def lets_through(self) -> bool:
        return self._lets_through

    def is_whole(self, reply: bytes) -> bool:
        return self._reply_is_whole(reply)


class _Connection:
    def __init__(
        self,
        proxy: Proxy,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._client, self._to_client = client, to_client
        self._server, self._to_server = server, to_server
        self._losing = False
        self._lost = b""

    async def requests(self) -> None:
        while data := await self._client.read(1 << 20):
            await self._proxy.moving()
            if self._proxy.must_cut(data):
                if not self._proxy.lets_through:
                    self._proxy.fired.set()
                    return
                self._losing = True
            self._to_server.write(data)
            await self._to_server.drain()

    async def replies(self) -> None:
        while data := await self._server.read(1 << 20):
            await self._proxy.moving()
            if self._losing:
                self._lost += data
                if self._proxy.is_whole(self._lost):
                    self._proxy.fired.set()
                    return
                continue
            self._to_client.write(data)
            await self._to_client.drain()


def postgres_reply(reply: bytes) -> bool:
    """Whether a statement's reply is whole: the server is ready for the next one, so this one has committed."""
    return reply.endswith(POSTGRES_IS_READY)


@asynccontextmanager
async def proxy(target_port: int) -> AsyncIterator[Proxy]:
    """A proxy in front of a port of this host."""
    made = Proxy(target_port)
    await made.open()
    try:
        yield made
    finally:
        await made.close()
