"""Connections are kept alive (HTTP/1.1), and `close()` ends the listening socket alone: over a connection that is open already, the page still comes."""

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "the page after close(), for a client that had asked for one before it: expected 'none', got 'a page'"


class _Page:
    """What is being served: its port, and a way to stop."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="metrics", daemon=True)
        self._thread.start()
        self.port: int = server.server_port

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve_metrics(
    registry: CollectorRegistry,
    port: int,
    host: str = "127.0.0.1",
    is_ready: Callable[[], bool] = lambda: True,
) -> Any:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # Prometheus keeps its connection from scrape to scrape

        def do_GET(self) -> None:
            if urlsplit(self.path).path != "/metrics":
                self.send_error(404)
                return
            page = generate_latest(registry)
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: Any) -> None:
            """A scrape every few seconds is nothing for the log."""

    class Server(ThreadingHTTPServer):
        address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][
            0
        ]

    return _Page(Server((host, port), Handler))
