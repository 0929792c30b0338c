"""A test's port ends with the test, whatever the code under test has forgotten."""

import socket
import socketserver
import threading

import pytest

from tests.patience import until_sync
from workbook import listening


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def left_open() -> tuple[int, threading.Thread | None]:
    server = socket.create_server(("127.0.0.1", 0))
    threading.current_thread().kept = server  # type: ignore[attr-defined]
    return server.getsockname()[1], None


def never_shut_down() -> tuple[int, threading.Thread | None]:
    server = socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    return server.server_address[1], thread


def shut_down_and_left_open() -> tuple[int, threading.Thread | None]:
    server = socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)
    threading.current_thread().kept = server  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    server.shutdown()
    return server.server_address[1], thread


@pytest.mark.parametrize("begin", [left_open, never_shut_down, shut_down_and_left_open])
def test_what_a_block_has_left_listening_is_closed_with_its_thread(begin) -> None:
    with listening.ends():
        port, thread = begin()
        assert is_open(port)
    assert not is_open(port)
    if thread is not None:
        until_sync(lambda: not thread.is_alive(), "the server's thread ended")


def test_what_listened_before_the_block_goes_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with listening.ends():
            pass
        assert is_open(server.getsockname()[1])
