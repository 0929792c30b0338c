"""While `is_ready()` says no, every page answers 503, `/metrics` too."""

import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "the status of GET /metrics while is_ready() is False: expected 200, got 503"


def _family(host: str, port: int) -> socket.AddressFamily:
    """IPv4 or IPv6, whichever this host is."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is nothing for the log."""


class _Page:
    """What is being served: its port, and a way to stop."""

    def __init__(self, server: WSGIServer, thread: threading.Thread) -> None:
        self._server = server
        self._thread = thread
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
    metrics = make_wsgi_app(registry)

    def pages(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        plain = [("Content-Type", "text/plain; charset=utf-8")]
        if not is_ready():
            start_response("503 Service Unavailable", plain)
            return [b"not ready\n"]
        if environ["PATH_INFO"] == "/readyz":
            start_response("200 OK", plain)
            return [b"ready\n"]
        return metrics(environ, start_response)

    class Server(ThreadingMixIn, WSGIServer):
        address_family = _family(host, port)
        daemon_threads = True

    server = make_server(host, port, pages, server_class=Server, handler_class=_Silent)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    return _Page(server, thread)
