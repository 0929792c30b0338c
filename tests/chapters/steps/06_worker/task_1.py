import logging

from scheduler.entry import decode_entry
from scheduler.jobs import Priority
from scheduler.redis_clients import BLOCK_SECONDS

log = logging.getLogger(__name__)


async def take(app, limit):
    queues = [app.parts.queue_name(priority) for priority in Priority]
    popped = await app.queue.blocking.brpop(queues, timeout=BLOCK_SECONDS)
    if popped is None:
        return []
    _, value = popped
    try:
        return [decode_entry(value)]
    except ValueError as error:
        log.warning("dropped: %s", error)
        return []
