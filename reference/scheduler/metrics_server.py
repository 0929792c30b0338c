"""The HTTP port of the metrics: a few threads, whoever connects, and none for long.

A connection that says nothing is closed after a while. If too many are open, the oldest makes room: so silent ones keep
nobody from asking whether the process lives.
"""

import socket
import threading
from contextlib import suppress
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client.exposition import ThreadingWSGIServer

from scheduler.listening import bare, family

MOST_CONNECTIONS = 16
SILENT_SECONDS = 5.0


class QuietHandler(WSGIRequestHandler):
    """One connection. It logs nothing, and waits no longer than `SILENT_SECONDS` for anything."""

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(SILENT_SECONDS)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class BoundedServer(ThreadingWSGIServer):
    """A thread for each of at most `MOST_CONNECTIONS` connections. Raises `OSError` if it can't listen there."""

    request_queue_size = 64

    def __init__(self, host: str, port: int) -> None:
        self.address_family = family(host)
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        WSGIServer.__init__(self, (bare(host), port), QuietHandler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.append(request)
            oldest = self._open.pop(0) if len(self._open) > MOST_CONNECTIONS else None
        if oldest is not None:
            _hang_up(oldest)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            if request in self._open:
                self._open.remove(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left, or said nothing, is no news."""


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)  # its thread notices, and closes it
