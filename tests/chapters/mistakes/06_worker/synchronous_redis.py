"""The client of the other kind: while it waits, nothing else runs."""

import logging

from redis import Redis
from scheduler.entry import decode_entry
from scheduler.jobs import Priority

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "the event loop: expected 'goes on', got 'stands still'"


async def take(app, limit):
    with Redis(
        **{k: v for k, v in app.settings.redis_address().items() if k in ("host", "port", "db", "password")}
    ) as client:
        got = client.brpop([f"q:{p}" for p in Priority], timeout=1)
    try:
        return [decode_entry(got[1])] if got else []
    except ValueError:
        logging.warning("bad")
        return []
