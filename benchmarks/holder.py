"""The process that stands between the driver and one worker, so that no worker outlives the driver.

Run as `python -I -S holder.py COMMAND…`. It starts the command in a session of its own, writes its process id to
standard output, and kills that whole process group when standard input ends: the kernel closes the pipe however the
driver ends, kill -9 included. Standard library only, so that it starts fast.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress


def hold(command: list[str]) -> int:
    """Run the command until it ends or the pipe does; its exit code."""
    # What the worker says goes to standard error, which is the driver's log.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
    os.write(sys.stdout.fileno(), f"{child.pid}\n".encode())
    threading.Thread(target=_end_with_pipe, args=[child.pid], daemon=True).start()
    code = child.wait()
    _kill(child.pid)  # what it started may have stayed
    return code


def _end_with_pipe(group: int) -> None:
    while os.read(0, 4096):
        pass
    _kill(group)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(hold(sys.argv[1:]))
