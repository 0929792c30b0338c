"""A worker leaves when it is asked to, whatever its handlers do; and what they began ends with it."""

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress

import pytest
from scheduler.jobs import Status, get_job_row

from tests.end_to_end.commands import environment_of, serving_command, until_gone
from tests.helpers import submit, until, until_status

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.of_reference,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and forks are POSIX"),
]
TERMINAL = [status for status in Status if status.is_terminal]

HANDLERS = """
import asyncio
import multiprocessing
import os
import sys
import threading
import time
from scheduler.cli import leaving
from scheduler.worker.handlers import handler

leaving.CLOSING_SECONDS = float(os.environ.get("CLOSING", "60"))

def say(line):
    os.write(1, f"{line}\\n".encode())  # at once: another process may write at the same time

@handler("shout")
async def shout(app, job):
    pass

@handler("block")
def block(app, job):
    time.sleep(600)

@handler("block_a_thread_of_the_loop_s")
async def block_a_thread_of_the_loop_s(app, job):
    await asyncio.to_thread(time.sleep, 600)

@handler("hold_on")
async def hold_on(app, job):
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass

@handler("block_the_loop")
async def block_the_loop(app, job):
    time.sleep(600)

@handler("start_a_thread")
async def start_a_thread(app, job):
    threading.Thread(target=time.sleep, args=[600]).start()

def say_and_sleep():
    say("the child sleeps")
    time.sleep(600)

@handler("fork")
async def fork(app, job):
    child = multiprocessing.get_context("fork").Process(target=say_and_sleep)
    child.start()
    say(f"forked {child.pid}")

@handler("fork_and_terminate")
def fork_and_terminate(app, job):
    child = multiprocessing.get_context("fork").Process(target=say_and_sleep)
    child.start()
    child.terminate()
    child.join()
    assert child.exitcode == -15, child.exitcode

@handler("end_the_loop")
async def end_the_loop(app, job):
    asyncio.get_running_loop().call_soon(sys.exit, 9)
    await asyncio.sleep(0.1)

@handler("stop_the_loop")
async def stop_the_loop(app, job):
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.1)
"""


@pytest.fixture
def with_handlers(settings, tmp_path):
    (tmp_path / "shop_jobs.py").write_text(HANDLERS, "utf-8")
    return {
        **environment_of(settings),
        "PYTHONPATH": str(tmp_path),
        "SHUTDOWN_GRACE_SECONDS": "0.1",
        "HANDLERS": "shop_jobs",
    }


async def test_a_worker_runs_handlers_of_a_module_that_an_option_names(with_handlers, app):
    async with serving_command({**with_handlers, "HANDLERS": ""}, "worker", "--handlers", "shop_jobs"):
        await until_status(app, await submit(app, "shout"), Status.SUCCEEDED)


@pytest.mark.parametrize(
    ("type", "code"),
    [("block", 0), ("block_a_thread_of_the_loop_s", 0), ("hold_on", 0), ("block_the_loop", 1)],
)
async def test_a_worker_leaves_whatever_its_handlers_do_and_leaves_their_jobs_to_their_leases(
    with_handlers, app, type, code
):
    patience = {"CLOSING": "0.5"} if code else {}
    async with serving_command({**with_handlers, **patience}, "worker") as worker:
        blocked = await submit(app, type)
        await until_status(app, blocked, Status.RUNNING)
        assert await worker.stops() == code
        assert f"{type} ({blocked})" in worker.text
        assert (await get_job_row(app, blocked)).status is Status.RUNNING, "it may still be at work"


async def test_so_does_the_process_that_is_everything(with_handlers, app):
    async with serving_command(with_handlers, "up") as up:
        blocked = await submit(app, "block")
        await until_status(app, blocked, Status.RUNNING)
        assert await up.stops() == 0
        assert f"block ({blocked})" in up.text


@pytest.mark.parametrize(("type", "code"), [("start_a_thread", 1), ("fork", 0)])
async def test_what_a_handler_left_behind_does_not_keep_a_worker(with_handlers, app, type, code):
    patience = {"CLOSING": "0.5"} if code else {}
    async with serving_command({**with_handlers, **patience}, "worker") as worker:
        await until_status(app, await submit(app, type), Status.SUCCEEDED)
        assert await worker.stops() == code
        await until_gone([int(pid) for pid in re.findall(r"forked (\d+)", worker.text)])


async def test_nor_does_it_keep_one_whose_parent_is_gone(with_handlers, app):
    quick = {**with_handlers, "CLOSING": "0.5"}
    async with serving_command(quick, "worker", "--child", stdin=subprocess.PIPE) as worker:
        await until_status(app, await submit(app, "start_a_thread"), Status.SUCCEEDED)
        assert await worker.loses_its_parent() == 1


async def test_a_process_that_a_handler_forks_can_be_ended(with_handlers, app):
    async with serving_command(with_handlers, "worker"):
        job = await until_status(app, await submit(app, "fork_and_terminate", max_attempts=1), *TERMINAL)
        assert (job.status, job.last_error) == (Status.SUCCEEDED, None)


async def test_a_forked_child_holds_no_port_of_a_worker_that_was_killed(with_handlers, app):
    async with serving_command(with_handlers, "worker") as worker:
        line = await worker.until("metrics on port")
        port = int(re.search(r"metrics on port (\d+)", line)[1])
        await until_status(app, await submit(app, "fork"), Status.SUCCEEDED)
        child = int(re.findall(r"forked (\d+)", await worker.until("forked"))[0])
        await worker.until("the child sleeps")
        os.kill(worker.pid, signal.SIGKILL)

        async def free():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with suppress(OSError):
                    probe.bind(("127.0.0.1", port))
                    probe.listen()
                    return True

        try:
            await until(free, "the port is free")
        finally:
            os.kill(child, signal.SIGTERM)
        await until_gone([child])


@pytest.mark.parametrize("type", ["end_the_loop", "stop_the_loop"])
async def test_a_handler_that_ends_the_event_loop_ends_nothing(with_handlers, app, type):
    async with serving_command(with_handlers, "worker") as worker:
        beside = await submit(app, "sleep", payload_json='{"seconds": 0.5}', max_attempts=1)
        await until_status(app, beside, Status.RUNNING)
        await until_status(app, await submit(app, type, max_attempts=1), Status.SUCCEEDED)
        await until_status(app, beside, Status.SUCCEEDED)
        assert await worker.stops() == 0


CRUNCHING = """
import asyncio
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from scheduler.worker.handlers import handler

processes = ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))

def say(line):
    os.write(1, f"{line}\\n".encode())  # at once: another process may write at the same time

def crunch(name):
    say(f"process {os.getpid()}")
    while name == "for ever":
        pass

@handler("crunch")
async def crunch_it(app, job):
    await asyncio.get_running_loop().run_in_executor(processes, crunch, job.payload["name"])
"""


async def test_a_pool_of_spawned_processes_works_and_ends_with_the_worker(with_handlers, app, tmp_path):
    (tmp_path / "crunching.py").write_text(CRUNCHING, "utf-8")
    async with serving_command({**with_handlers, "HANDLERS": "crunching"}, "worker") as worker:
        short = await submit(app, "crunch", payload_json='{"name": "short"}', max_attempts=1)
        assert (await until_status(app, short, *TERMINAL)).last_error is None
        await submit(app, "crunch", payload_json='{"name": "for ever"}')
        await worker.until("process", times=2)
        await until_status(app, await submit(app, "noop"), Status.SUCCEEDED)
        assert await worker.stops() == 0
        await until_gone([int(pid) for pid in re.findall(r"process (\d+)", worker.text)])
