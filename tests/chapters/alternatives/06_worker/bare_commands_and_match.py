"""BLMPOP as a bare command for several entries, `match` for the decision, and whole milliseconds for the delay."""

import logging
import random

from scheduler.entry import decode_entry
from scheduler.jobs import PermanentError, Priority, Status
from scheduler.worker.one_job import Outcome, sentence

TASKS = [1, 4, 5]

NAMES = [f"q:{priority.value}" for priority in Priority]


async def take(app, limit):
    answer = await app.queue.blocking.execute_command(
        "BLMPOP", 0.9, len(NAMES), *NAMES, "RIGHT", "COUNT", limit
    )
    return [entry for raw in (answer[1] if answer else []) if (entry := _read(raw))]


def _read(raw):
    try:
        return decode_entry(raw)
    except ValueError:
        logging.error("not an entry: %r", raw[:80])
        return None


def backoff_delay(attempt, base, cap):
    limit = base
    for _ in range(attempt - 1):
        limit += limit
        if limit >= cap:
            break
    return random.randrange(int(min(limit, cap) * 1000) + 1) / 1000


def decide(job, error):
    match error:
        case None:
            return Outcome(status=Status("succeeded"))
        case PermanentError():
            status = Status.FAILED
        case _ if job.max_attempts - job.attempts > 0:
            status = Status.RETRY
        case _:
            status = Status.DEADLETTER
    return Outcome(status=status, error=f"attempt {job.attempts}: {sentence(error)}")
