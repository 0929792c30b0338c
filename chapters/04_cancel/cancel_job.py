"""Chapter 04: CancelJob. Read README.md beside this file first."""

import logging
from uuid import UUID

from scheduler.app import App
from scheduler.errors import Context
from scheduler.jobs import Job
from scheduler.v1 import scheduler_pb2 as pb

log = logging.getLogger(__name__)


async def cancel_in_database(app: App, task_id: UUID) -> Job | None:
    """Task 1: make a queued, retry or running job `cancelled`, and return it as it is then.

    Return None, and change nothing, if there is no such job or if it has ended already.

    A cancel sets `status`, `finished_at` (now), `pushed_at`, `next_run_at` and `lease_expires_at` (all three NULL),
    `version` (one more) and `updated_at` (now). `worker` may become NULL or stay. Everything else stays.

    You are given `await app.db.fetch_one(sql, [value, …])`, which runs one statement with a `%s` for each value and
    answers with the first row, or None; and `Job.from_row(row)`, which makes a `Job` of a row with all columns.

    Hint: between a look at the row and a write to it, a worker may finish the job. Which single statement looks,
    writes, and says what it wrote?
    """
    raise NotImplementedError("04_cancel task 1: cancel the job in the database")


async def remove_entry(app: App, job: Job) -> int:
    """Task 2: take every entry of this job out of its queue, and return how many there were.

    You are given `app.parts.queue_name(priority)` and `app.parts.encode_entry(job)`: your own of chapter 01, or the
    reference's; and `app.queue.redis`, the client. Let redis-py's errors through.

    Hint: LREM compares bytes. Who in this house knows the bytes of an entry?
    """
    raise NotImplementedError("04_cancel task 2: remove the job's entries from its queue")


async def cancel_job(app: App, request: pb.CancelJobRequest, context: Context) -> pb.CancelJobResponse:
    """Task 3: answer CancelJob: true if this call cancelled the job, false if the job had ended already.

    A malformed id is INVALID_ARGUMENT, an unknown one NOT_FOUND, as in chapter 02. After the database has said yes:
    tell whoever watches the job (`app.hints.changed([task_id])`, given), and remove its entry. If Redis fails, log a
    warning and answer as usual.

    Task 4 (stretch): the same, whatever a worker does to the job at the same moment.
    Task 5 (stretch): remove its lease from the sorted set `leases` too.

    Hint: task 1 answers None for two reasons. How do you tell them apart?
    """
    raise NotImplementedError("04_cancel task 3: answer CancelJob")
