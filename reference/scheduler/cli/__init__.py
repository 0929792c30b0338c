"""The `scheduler` command. Each file is about one command, or one thing that several of them need.

    up.py                             everything in one process
    demo.py board.py next_steps.py    the jobs that show it at work, how they are shown, and what to try then
    serve.py processes.py             the API and the worker as they run in production
    running.py leaving.py services.py what all of these need: an event loop that stops, an end, and addresses
    jobs.py watch.py listing.py       submit, get, cancel, requeue; watch; list
    client.py job_view.py             what these need: a connection, and how a job looks
    call.py describe.py               any method of any gRPC server, by reflection
    redis.py resp.py                  one Redis command
    sql.py psql.py                    SQL
    prune.py                          deletes finished jobs
    migrate.py                        brings the tables up to this version
    show.py failures.py               output and errors, the same everywhere
    waiting.py                        waits in which no Ctrl-C is lost

Exit codes: 0 done; 1 the server said no, or is away; 2 wrong usage or settings; 130 Ctrl-C. Heavy modules are imported
where they are used, so that `scheduler get` answers at once.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    # gRPC's core writes complaints of its own to standard error, before ours, which say more.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    with _leaving_at_ctrl_c():
        from scheduler.cli.app import app
        from scheduler.cli.failures import Failure, Misused
        from scheduler.cli.show import complain, for_any_terminal

    for_any_terminal()
    try:
        if unreadable := _not_utf_8():
            raise Misused(f"{unreadable} should be UTF-8")
        app()
    except Failure as failure:
        complain(str(failure))
        sys.exit(failure.code)


@contextmanager
def _leaving_at_ctrl_c() -> Iterator[None]:
    """While modules are imported, Ctrl-C ends the process: nothing runs yet that would have to be stopped."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _not_utf_8() -> str | None:
    """The argument or the variable that is not text; None if all are."""
    for number, argument in enumerate(sys.argv[1:], 1):
        if not _is_text(argument):
            return f"argument {number}"
    names = ("SCHEDULER_ADDRESS", "SCHEDULER_DATA", "GRPC_PORT", "HANDLERS", "LOG_LEVEL", "LOG_FORMAT")
    return next((name for name in names if not _is_text(os.environ.get(name, ""))), None)


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True
