"""Redis, spoken plainly: a command goes out, and the reply is read and shown as redis-cli shows it.

A client library would turn replies into Python values, and then nobody could tell `OK` from `"OK"`. The protocol
(RESP2) is small: the first byte says what follows.

    +OK          a status          :3           an integer       -ERR …        an error
    $2, hi       a string          *2, …, …     an array         $-1 or *-1    nil
"""

import socket
from typing import BinaryIO, NamedTuple


class Status(NamedTuple):
    """A short answer such as `OK`."""

    text: bytes


class ErrorReply(NamedTuple):
    """Redis refused the command."""

    text: bytes


Reply = Status | ErrorReply | int | bytes | None | list["Reply"]


class Connection:
    """One connection to Redis. Raises `OSError` if it can't be made, and `EOFError` if Redis closes it."""

    def __init__(self, host: str, port: int, connect_seconds: float = 3.0) -> None:
        self._socket = socket.create_connection((host, port), connect_seconds)
        self._socket.settimeout(None)  # BRPOP with a timeout of 0 waits for ever, as it should
        self._file: BinaryIO = self._socket.makefile("rb")

    def command(self, *arguments: str | bytes) -> Reply:
        """Send a command and read its reply."""
        self._socket.sendall(encode(*arguments))
        return self.read()

    def read(self) -> Reply:
        """Read one more reply: for SUBSCRIBE and MONITOR, which go on answering."""
        return read_reply(self._file)

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()


def encode(*arguments: str | bytes) -> bytes:
    """A command as Redis reads it: an array of strings, each with its length."""
    parts = [one if isinstance(one, bytes) else one.encode("utf-8", "surrogateescape") for one in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def read_reply(file: BinaryIO) -> Reply:
    """Read one reply. Raises `EOFError` if the connection ends, and `ValueError` for what is no RESP2."""
    line = file.readline()
    if not line.endswith(b"\r\n"):
        raise EOFError("Redis closed the connection")
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return Status(rest)
        case b"-":
            return ErrorReply(rest)
        case b":":
            return int(rest)
        case b"$":
            return _read_string(file, int(rest))
        case b"*":
            return None if int(rest) < 0 else [read_reply(file) for _ in range(int(rest))]
        case _:
            raise ValueError(f"not a RESP2 reply: {line[:50]!r}")


def _read_string(file: BinaryIO, length: int) -> bytes | None:
    if length < 0:
        return None
    data = file.read(length + 2)
    if len(data) < length + 2:
        raise EOFError("Redis closed the connection")
    return data[:-2]


def show(reply: Reply, indent: int = 0) -> str:
    """A reply as redis-cli prints it on a terminal: `(integer) 3`, `"text"`, `(nil)`, `1) "a"`."""
    match reply:
        case None:
            return "(nil)"
        case Status(text):
            return text.decode(errors="replace")
        case ErrorReply(text):
            return f"(error) {text.decode(errors='replace')}"
        case int():
            return f"(integer) {reply}"
        case bytes():
            return quoted(reply)
        case []:
            return "(empty array)"
        case _:
            return _show_array(reply, indent)


def _show_array(items: list[Reply], indent: int) -> str:
    width = len(str(len(items)))
    deeper = indent + width + 2
    numbered = (f"{number:>{width}}) {show(item, deeper)}" for number, item in enumerate(items, 1))
    return f"\n{' ' * indent}".join(numbered)


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\a": "\\a", "\b": "\\b"}


def quoted(data: bytes) -> str:
    """A string in quotes, with an escape for every byte that is not printable ASCII."""
    chars = (
        _ESCAPES.get(chr(byte)) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in data
    )
    return f'"{"".join(chars)}"'


def raw(reply: Reply) -> bytes:
    """A reply for programs, as redis-cli writes it into a pipe: bare values, a line each."""
    match reply:
        case None:
            return b""
        case Status(text) | ErrorReply(text):
            return text
        case int():
            return str(reply).encode()
        case bytes():
            return reply
        case _:
            return b"\n".join(map(raw, reply))
