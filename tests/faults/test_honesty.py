"""What a process says about itself is true within seconds: that it is ready, that it lives, what holds it up."""

import asyncio
import math
import sys
from dataclasses import replace

import httpx
import pytest
from scheduler.app import App
from scheduler.config import Settings
from scheduler.job_queue import queue_name
from scheduler.jobs import Priority, Status
from scheduler.parts import Parts
from scheduler.process import PartEnded
from scheduler.server import running_api
from scheduler.worker import worker as worker_module
from scheduler.worker.one_job import claim_nothing
from scheduler.worker.service import running_worker
from scheduler.worker.worker import Worker

from tests import under_test
from tests.end_to_end.commands import environment_of, serving_command
from tests.faults.proxy import proxy
from tests.faults.tools import (
    at_port,
    database_port,
    insert,
    opened,
    row,
    short_pops,  # noqa: F401
)
from tests.helpers import submit, until, until_status
from workbook.sandbox import Servers

pytestmark = [pytest.mark.timeout(180), pytest.mark.of_reference]


async def until_status_of(port: int, page: str, code: int) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:

        async def look() -> bool:
            return (await client.get(f"http://127.0.0.1:{port}/{page}")).status_code == code

        await until(look, f"/{page} says {code}")


async def test_a_database_that_is_silent_makes_no_worker_ready_and_one_that_speaks_again_does(
    backends: Servers,
) -> None:
    async with opened(backends, metrics_port=0) as app, proxy(database_port(app.settings)) as way:
        settings = at_port(app.settings, database=way.port)
        async with running_worker(settings, under_test.parts()) as worker:
            await until_status_of(worker.metrics_port, "readyz", 200)
            way.stall()
            await until_status_of(worker.metrics_port, "readyz", 503)
            await until_status_of(worker.metrics_port, "healthz", 200)
            way.resume()
            await until_status_of(worker.metrics_port, "readyz", 200)


async def test_a_database_that_is_silent_turns_the_gauge_behind_the_alert(backends: Servers) -> None:
    async with (
        opened(backends, grpc_port=0, metrics_port=0) as app,
        proxy(database_port(app.settings)) as way,
        running_api(at_port(app.settings, database=way.port), under_test.parts()) as api,
    ):

        def age() -> float:
            return float(api.app.metrics.queue_oldest_age.labels("high")._value.get())  # type: ignore[attr-defined]

        async def is_known() -> bool:
            return not math.isnan(age())

        async def is_unknown() -> bool:
            return math.isnan(age())

        way.stall()
        await until(is_unknown, "nobody knows the age")
        await until_status_of(api.metrics_port, "readyz", 503)
        way.resume()
        await until(is_known, "the age is known again")


BLOCKING = """
import time
from pathlib import Path
from scheduler.worker.handlers import handler

@handler("block_the_loop")
async def block_the_loop(app, job):
    while not Path(job.payload["until"]).exists():
        time.sleep(0.01)  # this line is to blame
"""


@pytest.mark.skipif(sys.platform == "win32", reason="stops it by a signal")
async def test_a_loop_that_stands_still_is_not_ready_nor_alive_and_the_line_is_named(
    backends: Servers, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("handlers")
    (folder / "blocking.py").write_text(BLOCKING, "utf-8")
    async with opened(backends) as app:
        environment = environment_of(app.settings, LIVENESS_SECONDS="2", PYTHONPATH=str(folder))
        async with serving_command({**environment, "HANDLERS": "blocking"}, "worker") as worker:
            port = int((await worker.until("metrics on port")).rpartition("port ")[2].split('"')[0])
            await until_status_of(port, "healthz", 200)
            go_on = folder / "go_on"
            await submit(app, "block_the_loop", payload_json=f'{{"until": "{go_on}"}}')
            await until_status_of(port, "healthz", 503)
            await until_status_of(port, "readyz", 503)
            line = await worker.until("the event loop has stood still")
            assert "blocking.py" in line
            assert "this line is to blame" in line
            go_on.touch()
            await until_status_of(port, "healthz", 200)
            await until_status_of(port, "readyz", 200)
            assert await worker.stops() == 0
            assert worker.text.count("the event loop has stood still") == 1


class Breaking(Worker):
    async def run(self) -> None:
        await asyncio.sleep(0.01)
        self._ended.set()
        raise ValueError("a fault of the worker's own")


async def ended_maintenance(app: App) -> int:
    raise BaseException("a fault that nobody foresaw")


async def work_for_ever(settings: Settings, parts: Parts) -> None:
    async with running_worker(settings, parts), asyncio.timeout(60):
        await asyncio.Event().wait()


@pytest.mark.parametrize("part", ["the worker", "the maintenance"])
async def test_a_part_that_ends_takes_the_process_along_and_says_so(
    backends: Servers, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    parts = under_test.parts()
    broken = (
        replace(parts, worker=Breaking) if part == "the worker" else replace(parts, reap=ended_maintenance)
    )
    async with opened(backends) as app:
        with pytest.raises(PartEnded, match=part):
            await work_for_ever(app.settings, broken)
    assert f"{part} ended, and the process with it" in caplog.text


BROKEN = """
import asyncio
from scheduler.worker import worker as worker_module
from scheduler.worker.one_job import claim_nothing
from scheduler.worker.worker import Worker

async def run(self):
    self._ended.set()
    raise ValueError("a fault of the worker's own")

Worker.run = run
"""


async def test_a_worker_whose_loop_fails_ends_with_a_code_that_is_not_0(
    backends: Servers, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("handlers")
    (folder / "broken.py").write_text(BROKEN, "utf-8")
    async with opened(backends) as app:
        environment = environment_of(app.settings, PYTHONPATH=str(folder), HANDLERS="broken")
        async with serving_command(environment, "worker") as worker:
            await worker.until("a fault of the worker's own")
            with pytest.raises(AssertionError, match="Traceback"):  # it is meant to be loud
                await worker.ends()
            assert worker._process.returncode not in (0, None)


async def test_a_worker_whose_claims_fail_takes_nothing_more_and_is_not_ready_until_one_works(
    backends: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def counted_try(app: App) -> None:
        nonlocal tries
        tries += 1
        await claim_nothing(app)

    monkeypatch.setattr(worker_module, "claim_nothing", counted_try)
    async with opened(backends, metrics_port=0, worker_pool_size=1, reconcile_age_seconds=3600) as app:
        ids = await insert(app, 5)
        jobs = [await row(app, task_id) for task_id in ids]
        await app.db.fetch_all("ALTER TABLE tasks RENAME COLUMN worker TO its_worker")
        async with running_worker(app.settings, under_test.parts()) as worker:
            await app.queue.push_many(jobs)
            await until_status_of(worker.metrics_port, "readyz", 503)
            await until(lambda: tries >= 3, "it has tried three claims of nothing")
            assert await app.queue.redis.llen(queue_name(Priority.DEFAULT)) == 4
            await app.db.fetch_all("ALTER TABLE tasks RENAME COLUMN its_worker TO worker")
            await until_status_of(worker.metrics_port, "readyz", 200)
            for task_id in ids[1:]:
                await until_status(app, task_id, Status.SUCCEEDED)
