"""An asyncio server on an event loop of its own, in a thread; the HTTP is written by hand."""

import asyncio
import socket
import threading

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

TASKS = [3]


class Serving:
    def __init__(self, registry, address):
        self._registry = registry
        self._socket = socket.socket()
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
        except OSError:
            self._socket.close()
            raise
        self.port = self._socket.getsockname()[1]
        self._socket.listen()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        started = threading.Event()
        self._loop.call_soon(self._loop.create_task, self._start(started))
        self._thread.start()
        started.wait()

    async def _start(self, started):
        self._server = await asyncio.start_server(self._answer, sock=self._socket)
        started.set()

    def _run(self):
        self._loop.run_forever()
        self._server.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _answer(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        page = generate_latest(self._registry)
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: {CONTENT_TYPE_LATEST}\r\nContent-Length: {len(page)}\r\n\r\n"
        )
        writer.write(head.encode() + page)
        await writer.drain()
        writer.close()

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


def serve_metrics(registry, port, host="127.0.0.1", is_ready=lambda: True):
    return Serving(registry, (host, port))
