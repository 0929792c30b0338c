"""The lease ends by the clock of the worker."""

TEST = "test_task_11_uses_the_clock_of_the_database"
SAYS = "it is an hour off"

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from scheduler.app import App
from scheduler.jobs import Job

BEAT = """
    UPDATE tasks SET lease_expires_at = %s
    WHERE task_id = %s AND attempts = %s AND status = 'running'
    RETURNING task_id
"""


async def heartbeat(app: App, jobs: Sequence[Job]) -> set[UUID]:
    # Once for all of them, so that the leases of one beat end together.
    until = datetime.now(UTC) + timedelta(seconds=app.settings.lease_seconds)
    ours = set()
    for job in jobs:
        if await app.db.fetch_one(BEAT, [until, job.task_id, job.attempts]):
            ours.add(job.task_id)
    return ours
