"""A Redis that only greets: it tells with which password and for which database somebody came, and who is still there.

The real one has one password, and a test that gave it others would lock out its neighbours.
"""

import socket
from contextlib import suppress
from threading import Condition, Thread
from typing import Any, BinaryIO, Self

GREETING = (b"HELLO", b"CLIENT", b"AUTH", b"SELECT")
ANSWERS = {b"HELLO": b"%1\r\n$5\r\nproto\r\n:3\r\n", b"PING": b"+PONG\r\n", b"LPUSH": b":1\r\n"}


class FakeRedis:
    """Listens on a free port of loopback. With `refusal` it answers every command after the greeting so.

    With `wants_another_password` it takes none that anybody has, with `has_one_database` it has number 0 alone.

    One that is `silent` reads and never answers; one that hangs up reads the first command, and answers with the end.
    """

    def __init__(
        self,
        refusal: str = "",
        silent: bool = False,
        hangs_up: bool = False,
        wants_another_password: bool = False,
        has_one_database: bool = False,
    ) -> None:
        self.seen: set[tuple[str | None, int]] = set()
        """The password and the database of each connection that asked for something."""
        self.asked = 0
        self.askers = 0
        """How many connections have asked anything: whoever tries again comes with a new one."""
        self._refusal = refusal
        self._silent = silent
        self._hangs_up = hangs_up
        self._wants_another_password = wants_another_password
        self._has_one_database = has_one_database
        self._open = 0
        self._changed = Condition()
        self._clients: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        Thread(target=self._accept, name="fake Redis", daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        with suppress(OSError):  # wakes the thread that waits in accept
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def left_open(self, within: float = 3.0) -> int:
        """How many connections are still there, once all have ended or the time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self._open == 0, within)
            return self._open

    def wait_until_asked(self, within: float) -> bool:
        """Wait until somebody has sent something; whether somebody has."""
        with self._changed:
            return self._changed.wait_for(lambda: self.asked > 0, within)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._clients.append(client)
                self._note(1)
                Thread(target=self._serve, args=[client], name="fake Redis", daemon=True).start()

    def _note(self, opened: int = 0, asked: int = 0, askers: int = 0) -> None:
        with self._changed:
            self._open += opened
            self.asked += asked
            self.askers += askers
            self._changed.notify_all()

    def _serve(self, client: socket.socket) -> None:
        password: str | None = None
        number = 0
        asked = 0
        queued: list[bytes] | None = None
        with suppress(OSError, ValueError), client, client.makefile("rb") as lines:
            while command := _command(lines):
                asked += 1
                self._note(asked=1, askers=asked == 1)
                if self._silent:
                    continue
                name, *rest = command
                name = name.upper()
                if name == b"AUTH":
                    password = rest[-1].decode()
                if name == b"HELLO" and b"AUTH" in rest:
                    password = rest[rest.index(b"AUTH") + 2].decode()
                if name == b"SELECT":
                    number = int(rest[0])
                if name not in GREETING:
                    self.seen.add((password, number))
                    if self._hangs_up:
                        break
                answer = self._answer(name, rest)
                match name:
                    case b"MULTI":
                        queued = []
                    case b"EXEC" if queued is not None:
                        answer, queued = b"*%d\r\n%s" % (len(queued), b"".join(queued)), None
                    case _ if queued is not None:
                        queued.append(answer)
                        answer = b"+QUEUED\r\n"
                client.sendall(answer)
        self._note(-1)

    def _answer(self, name: bytes, rest: list[bytes]) -> bytes:
        if name not in GREETING and self._refusal:
            return f"-{self._refusal}\r\n".encode()
        if self._wants_another_password and (name == b"AUTH" or b"AUTH" in rest):
            return b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
        if self._wants_another_password and name not in GREETING:
            return b"-NOAUTH Authentication required.\r\n"
        if self._has_one_database and name == b"SELECT" and rest != [b"0"]:
            return b"-ERR DB index is out of range\r\n"
        if name == b"ECHO":
            return b"$%d\r\n%s\r\n" % (len(rest[0]), rest[0])
        if name == b"INFO":
            return b"$21\r\nredis_version:7.4.0\r\n\r\n"
        return ANSWERS.get(name, b"+OK\r\n")


def _command(lines: BinaryIO) -> list[bytes]:
    """The next command, as words; none at the end."""
    head = lines.readline()
    if not head.startswith(b"*"):
        return []
    words = []
    for _ in range(int(head[1:])):
        size = int(lines.readline()[1:])
        words.append(lines.read(size + 2)[:-2])
    return words
