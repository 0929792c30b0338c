"""Many short `scheduler` commands: `python -m tests.end_to_end.forked` imports once, and forks for each of them.

Standard input is a JSON list of `{"arguments": […], "environment": {…}}`; standard output is a list of what came of
them: `{"code": …, "output": "…"}`. A command that serves gets SIGTERM once it says so, or after `SECONDS`.
"""

import gc
import json
import os
import select
import signal
import sys
import time
from typing import Any

SECONDS = 15.0
SERVES = (b"serves on", b"jobs at once, metrics", b"Serving.")


def main() -> None:
    """Run all commands, one after another."""
    import rich.console  # noqa: F401
    import scheduler.cli.app
    import scheduler.parts
    import scheduler.server
    import scheduler.worker.service
    import structlog  # noqa: F401
    from scheduler.cli import main as command_line

    scheduler.parts.reference()
    gc.collect()
    gc.freeze()  # or each child would copy the pages of all that when it collects
    orders = json.load(sys.stdin)
    json.dump([run(command_line, order) for order in orders], sys.stdout)


def run(command_line: Any, order: dict[str, Any]) -> dict[str, Any]:
    """One command, in a child of its own."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        _be(command_line, order, theirs)
    os.close(theirs)
    output = _read(child, ours)
    os.close(ours)
    _, status = os.waitpid(child, 0)
    return {"code": os.waitstatus_to_exitcode(status), "output": output.decode(errors="replace")}


def _be(command_line: Any, order: dict[str, Any], output: int) -> None:
    """Become the command, with both outputs in the pipe."""
    code: Any = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.clear()
        os.environ.update(order["environment"])
        sys.argv = ["scheduler", *order["arguments"]]
        command_line()
        code = 0
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _read(child: int, pipe: int) -> bytes:
    output, asked = b"", 0
    began = time.monotonic()
    while True:
        readable, _, _ = select.select([pipe], [], [], 0.2)
        if readable:
            data = os.read(pipe, 65_536)
            if not data:
                return output
            output += data
        late = time.monotonic() - began > SECONDS * (asked + 1)
        if late or (not asked and any(words in output for words in SERVES)):
            os.kill(child, signal.SIGKILL if asked else signal.SIGTERM)
            asked += 1


if __name__ == "__main__":
    main()
