"""One try around all entries of a pop: a bad one takes its neighbours with it."""

import logging

from scheduler.entry import decode_entry
from scheduler.jobs import Priority

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "the entries that all takes have given"

log = logging.getLogger(__name__)


async def take(app, limit):
    names = [f"q:{p}" for p in Priority]
    got = await app.queue.blocking.blmpop(1, len(names), *names, direction="RIGHT", count=limit)
    if got is None:
        return []
    try:
        return [decode_entry(raw) for raw in got[1]]
    except ValueError:
        log.warning("bad entry")
        return []
