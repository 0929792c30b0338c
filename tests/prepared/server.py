"""Forks for each client, until its standard input ends. See `tests.prepared`."""

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any

from client import decided_at_start

LIBRARIES = (
    "_pytest.legacypath",
    "asyncio",
    "fakeredis",
    "google.protobuf.json_format",
    "grpc.aio",
    "grpc_health.v1.health_pb2_grpc",
    "grpc_reflection.v1alpha.reflection",
    "httpx",
    "prometheus_client",
    "psycopg",
    "psycopg_pool",
    "pydantic_settings",
    "pytest",
    "redis.asyncio",
    "rich.console",
    "structlog",
    "typer",
    "uvloop",
    "valkey.asyncio",
    "watchfiles",
)
"""Not the scheduler itself, nor the workbook: what they read when they are imported is the command's own."""

KEPT: list[Any] = []
"""Streams that would close their descriptor if they went."""


class Server:
    def __init__(self, path: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        self._wake, self._waker = socket.socketpair()
        for end in (self._wake, self._waker):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno())
        # Ctrl-C at the tests' own terminal is theirs.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._clients: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        for one in (0, self._listener, self._wake):
            self._selector.register(one, selectors.EVENT_READ)

    def serve(self) -> dict[str, Any] | None:
        """What the child that has returned from this has to do; None in the end."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj == 0:
                    return None
                if key.fileobj is self._listener:
                    client, _ = self._listener.accept()
                    if request := self._fork(client):
                        return request
                elif key.fileobj is self._wake:
                    with suppress(BlockingIOError):
                        self._wake.recv(4096)
                    self._reap()
                else:
                    self._kill(key.fileobj)

    def _fork(self, client: socket.socket) -> dict[str, Any] | None:
        descriptors: list[int] = []
        try:
            client.sendall(json.dumps(decided_at_start(dict(os.environ))).encode() + b"\n")
            text = b""
            while not text.endswith(b"\n"):
                more, got, _, _ = socket.recv_fds(client, 1 << 16, 3)
                descriptors += got
                if not more:
                    client.close()
                    return None
                text += more
            request: dict[str, Any] = json.loads(text)
            pid = os.fork()
            if pid == 0:
                self._forget()
                client.close()
                for target, descriptor in enumerate(descriptors):
                    os.dup2(descriptor, target)
                return request
            with suppress(OSError):  # a client that is gone is noticed in the next turn
                client.sendall(b"%d\n" % pid)
            self._clients[pid] = client
            self._selector.register(client, selectors.EVENT_READ)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return None

    def _forget(self) -> None:
        """In a child: nothing of this server stays."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for one in (self._selector, self._listener, self._wake, self._waker, *self._clients.values()):
            one.close()

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                with self._clients.pop(pid) as client, suppress(KeyError, OSError):
                    self._selector.unregister(client)
                    client.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))

    def _kill(self, client: Any) -> None:
        """The client has ended before its command: who killed it means the command."""
        with suppress(KeyError):  # the command has ended in the same turn
            self._selector.unregister(client)
        for pid, one in self._clients.items():
            if one is client:
                os.kill(pid, signal.SIGKILL)


def become(request: dict[str, Any]) -> None:
    """Take on what a new process would have been given."""
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.umask(request["mask"])
    os.chdir(request["folder"])
    lines = bool(os.environ.get("PYTHONUNBUFFERED"))
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        ours = getattr(sys, name)
        KEPT.append(ours)
        mode = "w" if descriptor else "r"
        buffering = 1 if descriptor and (lines or name == "stderr" or os.isatty(descriptor)) else -1
        # Python chose the encoding when it began, from an environment that says the same about it.
        stream = os.fdopen(descriptor, mode, buffering, ours.encoding, ours.errors, closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def run(words: list[str]) -> None:
    """Do what `python` would do with these words."""
    if words[0] == "-m":
        sys.argv[:] = words[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = words
        sys.path[0] = os.path.dirname(os.path.abspath(words[0]))
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    for name in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    server = Server(sys.argv[1])
    print("ready", flush=True)
    request = server.serve()
    if request is not None:
        become(request)
        run(request["words"])
