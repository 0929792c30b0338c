"""The shortest way to say common things; `until` is the suite's own, of `tests.patience`."""

import os
from typing import Any
from uuid import UUID, uuid4

from scheduler.app import App
from scheduler.jobs import Job, NewJob, Status, get_job_row

from tests.patience import until

__all__ = ["DIRECT", "SEED", "SOME_ID", "submit", "until", "until_status"]

SEED = int(os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid4().hex)[:8], 16)
"""Another number in each run, but the same in all its processes: they must agree on the names of the tests."""
DIRECT = [("grpc.enable_http_proxy", 0)]
"""The options of a channel to this machine, past any proxy for the web."""
SOME_ID = "5f0c1b7e-3c55-4c8e-9d2a-1f6b8f3f7a10"
"""An id for the name of a test."""


async def until_status(app: App, task_id: UUID, *wanted: Status) -> Job:
    """Wait until a job stands in one of these statuses."""

    async def look() -> Job | None:
        job = await get_job_row(app, task_id)
        return job if job is not None and job.status in wanted else None

    return await until(look, f"job {task_id} became {' or '.join(wanted)}")


async def submit(app: App, type: str = "noop", **fields: Any) -> UUID:
    """Submit a job through the piece, as SubmitJob would."""
    return await app.parts.submit_job(app, NewJob(type=type, **fields))
