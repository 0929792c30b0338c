"""Stands in for one command: asks for a fork, passes signals on, and ends as it ends. Standard library, and little."""

import json
import os
import signal
import socket
import sys

DECIDED_AT_START = ("PYTHON", "LC_", "LANG", "GRPC_", "MALLOC", "LD_", "OPENSSL_", "SSL_")
"""Variables that Python or a library reads once, when it begins."""


def main(path: str, words: list[str]) -> int:
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        answers = server.makefile("r")
        theirs = json.loads(answers.readline())
        if decided_at_start(dict(os.environ)) != theirs:
            os.execv(sys.executable, [sys.executable, *words])
        request = {
            "words": words,
            "folder": os.getcwd(),
            "environment": dict(os.environ),
            "mask": os.umask(0o77),
        }
        socket.send_fds(server, [json.dumps(request).encode() + b"\n"], [0, 1, 2])
        pid = int(answers.readline())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: os.kill(pid, number))
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        code = int(answers.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def decided_at_start(environment: dict[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(DECIDED_AT_START)
        and name not in ("GRPC_VERBOSITY", "GRPC_PORT", "PYTHONUNBUFFERED")
    }


if __name__ == "__main__":
    os._exit(main(sys.argv[1], sys.argv[2:]))
