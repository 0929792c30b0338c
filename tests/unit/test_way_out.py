"""The last way out of a process: it ends with what it has begun, and says what it left, whatever does not let go."""

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress

import pytest

from tests.patience import SECONDS

pytestmark = [pytest.mark.of_reference, pytest.mark.skipif(sys.platform == "win32", reason="forks")]

BEGINNING = """
    import asyncio, multiprocessing, sys, threading, time
    from scheduler.cli import leaving

    never = threading.Event()

    async def holds_on():
        # What cancels it frees neither the task nor its thread.
        while True:
            try:
                await asyncio.to_thread(never.wait)
            except asyncio.CancelledError:
                pass

    def child():
        print("the child is there", flush=True)
        time.sleep(600)

    def begun():
        one = multiprocessing.get_context("fork").Process(target=child)
        one.start()
"""


def end_of(program: str) -> tuple[int, str]:
    """The exit code and the output of a process, once neither it nor a child of its own holds the output any more."""
    source = textwrap.dedent(BEGINNING) + textwrap.dedent(program)
    with subprocess.Popen(
        [sys.executable, "-c", source],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        try:
            text, _ = process.communicate(timeout=SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, text


def test_a_task_that_does_not_let_go_keeps_no_process() -> None:
    code, text = end_of("""
        loop = asyncio.new_event_loop()
        held = loop.create_task(holds_on())
        loop.run_until_complete(asyncio.sleep(0))
        leaving.close(loop)
    """)
    assert (code, text) == (0, "")


def test_an_error_beside_a_task_that_does_not_let_go_is_told() -> None:
    code, text = end_of("""
        loop = asyncio.new_event_loop()
        held = loop.create_task(holds_on())
        try:
            loop.run_until_complete(asyncio.sleep(0))
            raise RuntimeError("the disk is full")
        finally:
            leaving.close(loop)
    """)
    assert code == 1
    assert "leaving for an error" in text
    assert "RuntimeError: the disk is full" in text


@pytest.mark.parametrize("way", ["leaving.leave()", "leaving.leave_at_the_latest(0); never.wait()"])
def test_a_process_that_leaves_takes_along_what_a_handler_has_begun(way: str) -> None:
    _, text = end_of(f"begun()\n{way}")
    assert "Traceback" not in text
