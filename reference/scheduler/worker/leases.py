"""Chapter 06: leases. Who may run a job is whoever holds its lease; a heartbeat holds it, and the reaper ends it.

claim ── lease ──▶ heartbeat ──▶ heartbeat ──▶ finish              the usual way
claim ── lease ──▶ ✗ killed            lease runs out ──▶ reaped   another worker runs it again
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from scheduler.app import App
from scheduler.jobs import COLUMNS, Job, Status, columns

HEARTBEAT = """
    UPDATE tasks AS t
    SET lease_expires_at = now() + %s * interval '1 second'
    FROM unnest(%s::uuid[], %s::int[]) AS v(id, attempt)
    WHERE t.task_id = v.id AND t.attempts = v.attempt AND t.status = 'running'
    RETURNING t.task_id, t.lease_expires_at
"""


async def heartbeat(app: App, jobs: Sequence[Job]) -> set[UUID]:
    """Extend the leases of these attempts with one statement, and return the jobs that are still theirs.

    A job that is missing was cancelled, or reaped: its handler should stop. Raises `Unavailable`.
    """
    attempts = [[job.task_id for job in jobs], [job.attempts for job in jobs]]
    rows = await app.db.fetch_all(HEARTBEAT, [app.settings.lease_seconds, *attempts])
    until = {row["task_id"]: row["lease_expires_at"] for row in rows}
    app.hints.leased(
        replace(job, lease_expires_at=until[job.task_id]) for job in jobs if job.task_id in until
    )
    return set(until)


REAP = f"""
    WITH done AS (
        UPDATE tasks
        SET status = CASE WHEN attempts < max_attempts THEN 'retry' ELSE 'deadletter' END,
            next_run_at = CASE WHEN attempts < max_attempts THEN now() END,
            finished_at = CASE WHEN attempts >= max_attempts THEN now() END,
            last_error = 'lease expired', worker = NULL, lease_expires_at = NULL,
            version = version + 1, updated_at = now()
        WHERE status = 'running' AND lease_expires_at < now()
            AND task_id IN (
                SELECT task_id FROM tasks WHERE lease_expires_at < now() ORDER BY lease_expires_at LIMIT 500)
        RETURNING {COLUMNS}
    ), written AS (
        INSERT INTO task_attempts (task_id, attempt, started_at, finished_at, ok, error)
        SELECT task_id, attempts, started_at, now(), false, last_error FROM done
    )
    SELECT {COLUMNS} FROM done
"""


async def reap(app: App) -> int:
    """End the attempts whose lease has run out, 500 at most, and return how many there were.

    The lost attempt counts, so that a job which kills its worker each time ends as a dead letter. A retry is due at
    once: the pump pushes it. Two reapers may run at once; a row goes to one of them. Raises `Unavailable`.
    """
    jobs = [Job.from_row(row) for row in await app.db.fetch_all(REAP)]
    if jobs:
        dead = [job for job in jobs if job.status is Status.DEADLETTER]
        app.metrics.leases_expired(len(jobs))
        for job in dead:
            app.metrics.finished(job, job.status, None)
        app.hints.released(job.task_id for job in jobs)
        app.hints.changed(job.task_id for job in jobs)
        app.hints.dead(dead)
    return len(jobs)


GIVE_BACK = f"""
    UPDATE tasks AS t
    SET status = 'queued', max_attempts = t.max_attempts + 1, queued_at = now(), pushed_at = now(), worker = NULL,
        lease_expires_at = NULL, version = t.version + 1, updated_at = now()
    FROM unnest(%s::uuid[], %s::int[]) AS v(id, attempt)
    WHERE t.task_id = v.id AND t.attempts = v.attempt AND t.status = 'running'
    RETURNING {columns("t")}
"""


async def give_back(app: App, jobs: Sequence[Job]) -> list[Job]:
    """Queue again what a stopping worker began and has stopped, and return those jobs; the caller pushes them.

    The attempt number is the fence and can't be taken back, so the job gets one attempt more instead.
    Raises `Unavailable`.
    """
    attempts = [[job.task_id for job in jobs], [job.attempts for job in jobs]]
    returned = [Job.from_row(row) for row in await app.db.fetch_all(GIVE_BACK, attempts)]
    app.hints.released(job.task_id for job in returned)
    app.hints.changed(job.task_id for job in returned)
    return returned
