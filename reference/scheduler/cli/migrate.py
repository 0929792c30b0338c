"""`scheduler migrate`: brings the database's tables up to this version."""

import asyncio
from typing import TYPE_CHECKING

from scheduler.cli.failures import Refused, expected
from scheduler.cli.show import say

if TYPE_CHECKING:
    from scheduler.config import Settings


def migrate() -> None:
    """Add to the database's tables what this version needs.

    The API and the worker do this when they start, if they may, and go on
    without what they can't add. Run it before an upgrade, as a role that may
    create tables: with it, building an index may take as long as it takes.
    Jobs go on meanwhile.

    Works in the database of DATABASE_URL (or COCKROACHDB_HOST), else in that of
    a running `scheduler up`. Running it twice is safe.

    Example:

      scheduler migrate
    """
    from scheduler.cli import services

    with expected():
        made = asyncio.run(_migrate(services.found_database()))
    say(f"added {', '.join(made)}" if made else "nothing is missing")


async def _migrate(settings: "Settings") -> list[str]:
    from scheduler.database import Database, TooSlow
    from scheduler.migrations import MAY_NOT
    from scheduler.migrations import migrate as migrate_database

    db = await Database.connect(settings, migrate=False)
    try:
        return await migrate_database(db, patient=True)
    except MAY_NOT:
        raise Refused("this role may not change the tables: give DATABASE_URL one that may") from None
    except TooSlow:
        raise Refused(
            "somebody's transaction is in the way: see pg_stat_activity, end it, and run this again"
        ) from None
    finally:
        await db.close()
