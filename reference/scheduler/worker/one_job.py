"""Chapter 06, part A: what becomes of one job. Take an entry, claim the job, run its handler, decide, and finish.

Each step takes a batch where a batch is natural, for a commit costs the same for one row as for many.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from os import getpid
from socket import gethostname
from typing import Any, cast
from uuid import UUID

from scheduler.app import App
from scheduler.database import DatabaseError, Row
from scheduler.entry import Entry, decode_entry
from scheduler.jobs import COLUMNS, LONGEST_ERROR, MAX_PAYLOAD, Job, PermanentError, Priority, Status, columns
from scheduler.redis_clients import BLOCK_SECONDS
from scheduler.worker.batches import fetch_waiting, settle, wait_for_database
from scheduler.worker.runs import as_exception, describe
from scheduler.worker.strangers import note_strangers

log = logging.getLogger(__name__)


async def take(app: App, limit: int) -> list[Entry]:
    """Pop up to `limit` entries from the most urgent queue that has any, waiting a second at most; else none.

    What is not an entry is logged, counted and dropped. Raises redis-py's `RedisError` if Redis is away. Never cancel
    this: Redis may have handed out the entries already.
    """
    queues = [app.parts.queue_name(priority) for priority in Priority]
    popped = await app.queue.blocking.blmpop(
        BLOCK_SECONDS, len(queues), *queues, direction="RIGHT", count=limit
    )
    if popped is None:
        return []
    name, values = cast("tuple[bytes, list[bytes]]", popped)
    entries = []
    for value in values:
        try:
            entries.append(decode_entry(value))
        except ValueError as error:
            log.warning("dropped from %s: %s", name.decode(), error)
            app.metrics.malformed_entry()
    return entries


SMALL_PAYLOAD = 64 * 1024
LARGEST_PAYLOAD = 2 * MAX_PAYLOAD
"""jsonb shows a blank after each comma and colon. What is longer was accepted before numbers counted."""
LARGE_AT_ONCE = 8

# A claim of hundreds of jobs of a megabyte each would take that much memory several times over, all at one moment.
_PAYLOAD = f"CASE WHEN octet_length(payload::text) <= {SMALL_PAYLOAD} THEN payload END AS payload"

# The guard stands where the rows are locked. It is asked again once the lock is there, and nobody changes them then.
_CLAIM = f"""
    WITH free AS (
        SELECT task_id FROM tasks WHERE task_id = ANY(%s::uuid[]) AND status = 'queued'
        ORDER BY task_id FOR UPDATE %LOCKED%)
    UPDATE tasks AS t
    SET status = 'running', attempts = attempts + 1, worker = %s, started_at = now(), pushed_at = NULL,
        lease_expires_at = now() + %s * interval '1 second', version = version + 1, updated_at = now()
    FROM free
    WHERE t.task_id = free.task_id
    RETURNING {columns("t")}, {_PAYLOAD}
"""
CLAIM = _CLAIM.replace("%LOCKED%", "SKIP LOCKED")
CLAIM_AGAIN = _CLAIM.replace("%LOCKED%", "")
CLAIMED = f"""
    SELECT {COLUMNS}, {_PAYLOAD} FROM tasks WHERE task_id = ANY(%s::uuid[]) AND worker = %s
"""
LARGE = """
    SELECT task_id, payload FROM tasks WHERE task_id = ANY(%s::uuid[]) AND octet_length(payload::text) <= %s
"""

_process = f"{gethostname()}:{getpid()}"
_claim_numbers = count(1)


async def claim(app: App, entries: Sequence[Entry]) -> list[Job]:
    """Make these jobs this worker's, and return those that were still queued. The others belong to somebody else.

    A row that somebody has locked is left out, and found again by the reconciler.
    Waits for a database that went away in mid-claim: what it has granted, or will grant yet, must have its worker.
    """
    task_ids = list({entry.task_id for entry in entries})
    worker = f"{_process}/{next(_claim_numbers)}"
    params = [task_ids, worker, app.settings.lease_seconds]
    try:
        rows = await app.db.fetch_all(CLAIM, params)
    except DatabaseError:
        # Whichever try took a job, its row bears this claim's own stamp.
        rows = await settle(app, CLAIM_AGAIN, params, CLAIMED, [task_ids, worker])
    await note_strangers(app, set(task_ids) - {row["task_id"] for row in rows})
    jobs = [Job.from_row(row) for row in rows]
    large = await _large_payloads(app, [job.task_id for job in jobs if job.payload_json is None])
    return (
        [replace(job, payload_json=large.get(job.task_id, job.payload_json)) for job in jobs]
        if large
        else jobs
    )


async def claim_nothing(app: App) -> None:
    """Send the claim for no job at all: raises what a claim would raise now."""
    await app.db.fetch_all(CLAIM, [[], _process, app.settings.lease_seconds])


async def _large_payloads(app: App, task_ids: list[UUID]) -> dict[UUID, str]:
    """The payloads that did not come with the claim, a few at a time. One that is too large for anybody is left out."""
    found: dict[UUID, str] = {}
    for start in range(0, len(task_ids), LARGE_AT_ONCE):
        params = [task_ids[start : start + LARGE_AT_ONCE], LARGEST_PAYLOAD]
        try:
            rows = await app.db.fetch_all(LARGE, params)
        except DatabaseError:
            await wait_for_database(app)
            rows = await app.db.fetch_all(LARGE, params)
        found |= {row["task_id"]: row["payload"] for row in rows}
    return found


async def run_handler(app: App, job: Job) -> Exception | None:
    """Run the job's handler within its time, and return what went wrong, if anything.

    A cancellation of the caller goes through: it says that the job is not ours any more, not that it failed. Whatever
    else the handler raises, `sys.exit()` say, is this attempt's failure and nobody else's.
    """
    seconds = app.settings.handler_timeout_seconds
    task = asyncio.current_task()
    try:
        async with asyncio.timeout(seconds) as clock:
            await app.handlers.run(app, job)
    except TimeoutError as error:
        return TimedOut(f"timed out after {seconds:g} s") if clock.expired() else error
    except asyncio.CancelledError as error:
        if task is not None and task.cancelling():
            raise
        return as_exception(error)
    except GeneratorExit as error:
        if asyncio.current_task() is not task:
            raise  # it is this coroutine that is closed, for its loop is gone
        return as_exception(error)
    except BaseException as error:
        return as_exception(error)
    return None


class TimedOut(Exception):
    """The handler took longer than `handler_timeout_seconds`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What should become of a job: its next status, why, and for a retry after how many seconds."""

    status: Status
    error: str | None = None
    delay: float = 0.0


def decide(job: Job, error: Exception | None) -> Outcome:
    """What becomes of a job whose handler returned (`error` is None) or failed."""
    if error is None:
        return Outcome(Status.SUCCEEDED)
    if isinstance(error, PermanentError):
        return Outcome(Status.FAILED, sentence(error))
    if job.attempts < job.max_attempts:
        return Outcome(Status.RETRY, sentence(error))
    return Outcome(Status.DEADLETTER, sentence(error))


def sentence(error: Exception) -> str:
    """An error as text that the database can hold: no NUL, no half of a surrogate pair, and not without end."""
    text = describe(error)
    if isinstance(error, PermanentError | TimedOut):
        text = text.removeprefix(f"{type(error).__name__}: ")  # they are made to be read as they are
    text = text[:LONGEST_ERROR].replace("\0", "")
    return text.encode("utf-8", "replace").decode()


ATTEMPT_AGAIN = """
        ON CONFLICT (task_id, attempt) DO UPDATE
        SET started_at = excluded.started_at, finished_at = excluded.finished_at, ok = excluded.ok,
            error = excluded.error
"""
"""There may be such a row of a job that somebody has deleted by hand, and submitted again with its id."""

# What is written returns its ids, which nobody asks for: CockroachDB refuses a part of a WITH that returns nothing.
_FINISH = f"""
    WITH ours AS (
        SELECT t.task_id, v.status, v.error, v.delay
        FROM unnest(%s::uuid[], %s::int[], %s::text[], %s::text[], %s::float8[])
            AS v(id, attempt, status, error, delay)
        JOIN tasks AS t ON t.task_id = v.id
        WHERE t.attempts = v.attempt AND t.status = 'running'
        ORDER BY t.task_id FOR UPDATE OF t %LOCKED%
    ), done AS (
        UPDATE tasks AS t
        SET status = ours.status, last_error = ours.error, worker = NULL, lease_expires_at = NULL,
            next_run_at = CASE WHEN ours.status = 'retry' THEN now() + ours.delay * interval '1 second' END,
            finished_at = CASE WHEN ours.status <> 'retry' THEN now() END,
            version = t.version + 1, updated_at = now()
        FROM ours
        WHERE t.task_id = ours.task_id
        RETURNING t.task_id, t.attempts, t.started_at, t.status, t.last_error
    ), written AS (
        INSERT INTO task_attempts (task_id, attempt, started_at, finished_at, ok, error)
        SELECT task_id, attempts, started_at, now(), status = 'succeeded', last_error FROM done
        {ATTEMPT_AGAIN}
        RETURNING task_id
    )
    SELECT task_id, attempts FROM done
"""
FINISH = _FINISH.replace("%LOCKED%", "SKIP LOCKED")
FINISH_LOCKED = _FINISH.replace("%LOCKED%", "")
STANDING = """
    SELECT t.task_id, t.attempts, t.status = 'running' AS locked
    FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::int8[]) AS v(id, status, error, version)
    JOIN tasks AS t ON t.task_id = v.id
    WHERE t.status = 'running' OR (
        t.status = v.status AND t.version = v.version AND t.last_error IS NOT DISTINCT FROM v.error)
"""
"""Each row with the attempt that it is at: who asks for another one's finds nothing."""


async def finish(app: App, job: Job, outcome: Outcome) -> bool:
    """Write what became of an attempt, and its row of `task_attempts`, in one statement. Calls share statements.

    False means that the job is not ours any more: it was cancelled, or the lease ran out and the attempt number, which
    is the fence, has passed to another. Safe to call again when a reply was lost. A row that somebody has locked holds
    up no other; it is waited for on its own. Raises `DatabaseError`.
    """
    size = len(outcome.error or "")
    written = await app.together(_finish_all, (job, outcome), size=size)
    if written is None:
        written = await app.together(_finish_locked, (job, outcome), size=size)
    return written or False


Pairs = list[tuple[Job, Outcome]]


async def _finish_all(app: App, pairs: Pairs) -> list[bool | None]:
    """Whether each was written; None for one that somebody has locked."""
    rows = await app.db.fetch_all(FINISH, _columns(pairs))
    return await _written(app, pairs, rows)


async def _finish_locked(app: App, pairs: Pairs) -> list[bool | None]:
    rows = await fetch_waiting(app, app.settings.heartbeat_seconds, FINISH_LOCKED, _columns(pairs))
    return await _written(app, pairs, rows)


def _columns(pairs: Pairs) -> list[list[Any]]:
    return [
        [job.task_id for job, _ in pairs],
        [job.attempts for job, _ in pairs],
        [str(outcome.status) for _, outcome in pairs],
        [outcome.error for _, outcome in pairs],
        [float(outcome.delay) for _, outcome in pairs],  # of a list with ints in it, no array is made
    ]


async def _written(app: App, pairs: Pairs, rows: list[Row]) -> list[bool | None]:
    found: dict[tuple[UUID, int], bool | None] = {(row["task_id"], row["attempts"]): True for row in rows}
    if len(rows) < len(pairs):
        # An earlier call may have written it and lost the reply: then the row stands exactly as this finish left it.
        task_ids, _, statuses, errors, _ = _columns(pairs)
        versions = [job.version + 1 for job, _ in pairs]
        for row in await app.db.fetch_all(STANDING, [task_ids, statuses, errors, versions]):
            found.setdefault((row["task_id"], row["attempts"]), None if row["locked"] else True)
    return [found.get((job.task_id, job.attempts), False) for job, _ in pairs]
