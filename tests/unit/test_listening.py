"""What is said where nobody can listen."""

import errno
import socket

import pytest
from scheduler.listening import mistake


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_a_name_that_none_can_have_is_the_host_s_mistake(host: str) -> None:
    assert str(mistake("GRPC", host, 8081)).startswith("GRPC_HOST")


def test_a_port_that_this_account_may_not_have_is_told_from_one_that_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "socket", type("Refused", (socket.socket,), {"bind": refuse}))
    assert str(mistake("GRPC", "127.0.0.1", 80)).startswith("GRPC_PORT: this account may not listen on 80")
