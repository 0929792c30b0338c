"""What a test's code listens on ends with the test, even if the code under test has forgotten to close it.

A port that stays open is answered by the wrong one later, and its thread lives as long as the process.
"""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch


@contextmanager
def ends() -> Iterator[None]:
    """Close at the end of the block what began to listen in it, in whichever thread."""
    sockets: list[socket.socket] = []
    servers: list[socketserver.BaseServer] = []
    listen, serve_forever = socket.socket.listen, socketserver.BaseServer.serve_forever

    def noted_listen(self: socket.socket, *backlog: int) -> None:
        sockets.append(self)
        listen(self, *backlog)

    def noted_serve(self: socketserver.BaseServer, *args: Any, **options: Any) -> None:
        servers.append(self)
        serve_forever(self, *args, **options)

    with (
        patch.object(socket.socket, "listen", noted_listen),
        patch.object(socketserver.BaseServer, "serve_forever", noted_serve),
    ):
        try:
            yield
        finally:
            for server in servers:
                _end(server)
            for one in sockets:
                with suppress(OSError):
                    one.close()


def _end(server: socketserver.BaseServer) -> None:
    """First its loop: on a socket that is closed it would go round. It waits for a request that is being answered."""
    stopping = threading.Thread(target=server.shutdown, name="end of a server", daemon=True)
    stopping.start()
    stopping.join(3)
