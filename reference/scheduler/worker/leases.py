"""Chapter 06: leases. Who may run a job is whoever holds its lease; a heartbeat holds it, and the reaper ends it.

claim ── lease ──▶ heartbeat ──▶ heartbeat ──▶ finish              the usual way
claim ── lease ──▶ ✗ killed            lease runs out ──▶ reaped   another worker runs it again
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from scheduler.app import App
from scheduler.database import Lost, Row, TooSlow
from scheduler.jobs import COLUMNS, Job, Status, columns
from scheduler.worker.batches import Due, fetch_waiting
from scheduler.worker.one_job import ATTEMPT_AGAIN

_OURS = """
    SELECT t.task_id FROM unnest(%s::uuid[], %s::int[]) AS v(id, attempt) JOIN tasks AS t ON t.task_id = v.id
    WHERE t.attempts = v.attempt AND t.status = 'running'
"""
_HEARTBEAT = f"""
    WITH free AS ({_OURS} ORDER BY t.task_id FOR UPDATE OF t %LOCKED%)
    UPDATE tasks AS t
    SET lease_expires_at = now() + %s * interval '1 second'
    FROM free
    WHERE t.task_id = free.task_id
    RETURNING t.task_id, t.lease_expires_at
"""
HEARTBEAT = _HEARTBEAT.replace("%LOCKED%", "SKIP LOCKED")
HEARTBEAT_OF_LOCKED = _HEARTBEAT.replace("%LOCKED%", "")


class Held(set[UUID]):
    """The jobs that are still a worker's. Those in `locked` are, as far as anyone can see, but their leases run on."""

    locked: frozenset[UUID] = frozenset()


async def heartbeat(app: App, jobs: Sequence[Job]) -> set[UUID]:
    """Extend the leases of these attempts with one statement, and return the jobs that are still theirs: a `Held`.

    A job that is missing was cancelled, or reaped: its handler should stop. A row that somebody else's transaction has
    locked holds up no other; it is waited for on its own, for half a heartbeat. Raises `DatabaseError`.
    """
    attempts = [[job.task_id for job in jobs], [job.attempts for job in jobs]]
    rows = await app.db.fetch_all(HEARTBEAT, [*attempts, app.settings.lease_seconds])
    locked: frozenset[UUID] = frozenset()
    if len(rows) < len(jobs):
        late, locked = await _heartbeat_of_locked(app, jobs, {row["task_id"] for row in rows})
        rows += late
    until = {row["task_id"]: row["lease_expires_at"] for row in rows}
    app.hints.leased(
        replace(job, lease_expires_at=until[job.task_id]) for job in jobs if job.task_id in until
    )
    held = Held([*until, *locked])
    held.locked = locked
    return held


async def _heartbeat_of_locked(
    app: App, jobs: Sequence[Job], extended: set[UUID]
) -> tuple[list[Row], frozenset[UUID]]:
    """What the first statement missed although it is ours; and of that, what stayed locked."""
    rest = [job for job in jobs if job.task_id not in extended]
    columns = [[job.task_id for job in rest], [job.attempts for job in rest]]
    locked = frozenset(row["task_id"] for row in await app.db.fetch_all(_OURS, columns))
    if not locked:
        return [], locked
    try:
        patience = app.settings.heartbeat_seconds / 2
        return await fetch_waiting(
            app, patience, HEARTBEAT_OF_LOCKED, [*columns, app.settings.lease_seconds]
        ), frozenset()
    except TooSlow:
        return [], locked


REAP = Due(
    "lease_expires_at < now()",
    "lease_expires_at",
    f"""
    WITH due AS ({{due}}), done AS (
        UPDATE tasks AS t
        SET status = CASE WHEN attempts < max_attempts THEN 'retry' ELSE 'deadletter' END,
            next_run_at = CASE WHEN attempts < max_attempts THEN now() END,
            finished_at = CASE WHEN attempts >= max_attempts THEN now() END,
            last_error = 'lease expired', worker = NULL, lease_expires_at = NULL,
            version = version + 1, updated_at = now()
        FROM due
        WHERE t.task_id = due.task_id AND t.status = 'running'
        RETURNING {columns("t")}, due.seen
    ), written AS (
        INSERT INTO task_attempts (task_id, attempt, started_at, finished_at, ok, error)
        SELECT task_id, attempts, started_at, seen, false, last_error FROM done
        {ATTEMPT_AGAIN}
        RETURNING task_id
    )
    SELECT {COLUMNS} FROM done
    """,
    # An attempt that is over has the time at which its reaper saw that, to the microsecond: so each knows its own, and
    # counts no attempt that another has counted. The row may have gone on since, for a retry is due at once.
    done=f"""
    SELECT {columns("t")}
    FROM unnest(%s::uuid[], %s::int8[], %s::timestamptz[]) AS v(id, was, seen)
    JOIN task_attempts AS a ON a.task_id = v.id AND a.finished_at = v.seen
    JOIN tasks AS t ON t.task_id = v.id
    """,
)


async def reap(app: App) -> int:
    """End the attempts whose lease has run out, 500 at most, and return how many there were.

    The lost attempt counts, so that a job which kills its worker each time ends as a dead letter. A retry is due at
    once: the pump pushes it. Two reapers may run at once; a row goes to one of them. Raises `Unavailable`.
    """
    jobs = [Job.from_row(row) for row in await REAP.fetch(app)]
    if jobs:
        dead = [job for job in jobs if job.status is Status.DEADLETTER]
        app.metrics.leases_expired(len(jobs))
        for job in dead:
            app.metrics.finished(job, job.status, None)
        app.hints.released(job.task_id for job in jobs if job.status is not Status.RUNNING)
        app.hints.changed(job.task_id for job in jobs)
        app.hints.dead(dead)
    return len(jobs)


GIVE_BACK = f"""
    WITH free AS ({_OURS} FOR UPDATE OF t SKIP LOCKED)
    UPDATE tasks AS t
    SET status = 'queued', max_attempts = t.max_attempts + 1, queued_at = now(), pushed_at = now(), worker = NULL,
        lease_expires_at = NULL, version = t.version + 1, updated_at = now()
    FROM free
    WHERE t.task_id = free.task_id
    RETURNING {columns("t")}
"""
GIVEN_BACK = f"""
    SELECT {columns("t")}
    FROM unnest(%s::uuid[], %s::int8[]) AS v(id, version) JOIN tasks AS t ON t.task_id = v.id
    WHERE t.status = 'queued' AND t.version = v.version
"""


async def give_back(app: App, jobs: Sequence[Job]) -> list[Job]:
    """Queue again what a stopping worker began and has stopped, and return those jobs; the caller pushes them.

    The attempt number is the fence and can't be taken back, so the job gets one attempt more instead.
    Raises `Unavailable`.
    """
    attempts = [[job.task_id for job in jobs], [job.attempts for job in jobs]]
    try:
        rows = await app.db.fetch_all(GIVE_BACK, attempts)
    except Lost:
        # Once more, in case it was not done. Whichever try it was, these rows are queued now, and one version on.
        await app.db.fetch_all(GIVE_BACK, attempts)
        rows = await app.db.fetch_all(GIVEN_BACK, [attempts[0], [job.version + 1 for job in jobs]])
    returned = [Job.from_row(row) for row in rows]
    app.hints.released(job.task_id for job in returned)
    app.hints.changed(job.task_id for job in returned)
    return returned
