"""How a job says when it began, and in which worker: a datagram to whoever measures. No queue has a part in it."""

import asyncio
import os
import socket
import time
from typing import NamedTuple

HOST = "127.0.0.1"
PORT_VARIABLE = "BENCHMARK_STAMP_PORT"

_socket: socket.socket | None = None


class Stamp(NamedTuple):
    """One start of a job."""

    worker: int
    """The session of the process that ran it, which is the worker's first process."""
    at: float
    """Seconds on the monotonic clock, which is the same in all processes of a machine."""


def stamp() -> None:
    """Tell that this job began now. Called by the job itself, in the worker."""
    global _socket
    now = time.monotonic()
    if _socket is None:
        _socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    _socket.sendto(f"{os.getsid(0)} {now}".encode(), (HOST, int(os.environ[PORT_VARIABLE])))


class Stamps(asyncio.DatagramProtocol):
    """Receives the stamps."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[Stamp] = asyncio.Queue()

    @classmethod
    async def listening(cls) -> "Stamps":
        """Listen on a free port, and put it into the environment that the workers inherit."""
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(cls, local_addr=(HOST, 0))
        os.environ[PORT_VARIABLE] = str(transport.get_extra_info("sockname")[1])
        return protocol

    async def next(self, seconds: float) -> Stamp:
        """The next stamp. Raises `TimeoutError` after so many seconds without one."""
        async with asyncio.timeout(seconds):
            return await self._arrived.get()

    def forget(self) -> None:
        """Throw away what has arrived."""
        while not self._arrived.empty():
            self._arrived.get_nowait()

    def datagram_received(self, data: bytes, address: object) -> None:
        worker, at = data.split()
        self._arrived.put_nowait(Stamp(int(worker), float(at)))
