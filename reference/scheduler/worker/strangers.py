"""Entries of jobs that are in no row: what a worker takes away from another scheduler that shares its Redis.

Nobody else would notice. The other one's jobs start half a minute late, when its reconciler has pushed them again, and
some are taken away once more.
"""

import logging
from collections.abc import Collection
from uuid import UUID

from scheduler.app import App

log = logging.getLogger(__name__)

KNOWN = "SELECT task_id FROM tasks WHERE task_id = ANY(%s::uuid[])"

_told = False


async def note_strangers(app: App, unclaimed: Collection[UUID]) -> None:
    """Count the jobs among these that are in no row, and say once a process that there are any. Never raises.

    The others were taken, cancelled or finished by somebody: an entry may come twice.
    """
    global _told
    if not unclaimed:
        return
    try:
        known = await app.db.fetch_all(KNOWN, [list(unclaimed)])
    except Exception as error:
        # What was claimed beside them must start now.
        log.debug("could not look for unknown jobs: %s", type(error).__name__)
        return
    if strangers := len(unclaimed) - len(known):
        app.metrics.unknown_entries(strangers)
        if not _told:
            log.warning(
                "there are entries in the queues of jobs that are not in this database (%d now): they were deleted, or "
                "another scheduler uses this Redis, and should have a REDIS_PREFIX or a REDIS_DB of its own",
                strangers,
            )
        _told = True
