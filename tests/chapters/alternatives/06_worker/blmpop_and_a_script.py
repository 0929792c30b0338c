"""BLMPOP waits for the first entries, and a script that does not wait fills up from all four queues."""

import logging

from redis.exceptions import RedisError
from scheduler.entry import decode_entry
from scheduler.jobs import Priority
from scheduler.redis_clients import BLOCK_SECONDS

TASKS = [1]

log = logging.getLogger(__name__)

MORE = """
    local found = {}
    for _, name in ipairs(KEYS) do
        while #found < tonumber(ARGV[1]) do
            local raw = redis.call('RPOP', name)
            if not raw then break end
            found[#found + 1] = raw
        end
    end
    return found
"""


async def take(app, limit):
    names = [app.parts.queue_name(priority) for priority in Priority]
    redis = app.queue.blocking
    answer = await redis.blmpop(BLOCK_SECONDS, len(names), *names, direction="RIGHT", count=limit)
    raws = list(answer[1]) if answer else []
    if 0 < len(raws) < limit:
        try:
            raws += await redis.eval(MORE, len(names), *names, limit - len(raws))
        except RedisError as error:  # what is in its hand is its own; the next take meets the error itself
            log.warning("no more entries: %s", error)
    return list(_decoded(raws))


def _decoded(raws):
    for raw in raws:
        try:
            yield decode_entry(raw)
        except ValueError as error:
            log.warning("dropped: %s", error)
