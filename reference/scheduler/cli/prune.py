"""`scheduler prune`: deletes jobs that ended long ago."""

import asyncio
import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from scheduler.cli.client import AsJson
from scheduler.cli.failures import Misused, expected, first_line
from scheduler.cli.show import note, say

if TYPE_CHECKING:
    from scheduler.config import Settings
    from scheduler.database import Database

LONGEST = timedelta(days=36_500)
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def prune(
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="Such as 7d, 12h, 30m or 90s.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Delete jobs that ended longer ago than AGE, with their attempts.

    Works in the database of DATABASE_URL (or COCKROACHDB_HOST), else in that of
    a running `scheduler up`, in batches of 1000. An idempotency key of a deleted
    job may be used for a new one. What Redis shows of dead letters (dlq:*) is
    brought up to date too, where it is known and answers.

    Example:

      scheduler prune --older-than 7d
    """
    from scheduler.cli import services

    age = parse_age(older_than)
    with expected():
        deleted = asyncio.run(_prune(services.found_database(), age))
    say(
        json.dumps({"deleted": deleted}) if as_json else f"deleted {deleted} job{'' if deleted == 1 else 's'}"
    )


def parse_age(text: str) -> timedelta:
    """Read `7d`, `12h`, `30m` or `90s`. Raises `Misused` for anything else."""
    match = re.fullmatch(r"(\d{1,8})([smhd])", text.strip(), re.ASCII)
    if match is None:
        raise Misused(f"--older-than takes an age such as 7d, 12h, 30m or 90s, not {text}")
    age = timedelta(**{UNITS[match[2]]: int(match[1])})
    if age > LONGEST:
        raise Misused(f"--older-than takes at most {LONGEST.days}d, not {text}")
    return age


async def _prune(settings: "Settings", age: timedelta) -> int:
    from redis.exceptions import RedisError

    from scheduler.database import Database
    from scheduler.prune import prune as prune_batch

    db = await Database.connect(settings)
    try:
        total = 0
        while deleted := await prune_batch(db, age):
            total += deleted
        try:
            await _prune_views(settings, db)
        except RedisError as error:
            note(
                f"Redis goes on showing deleted dead letters in dlq:*, for it does not answer: {first_line(error)}"
            )
        return total
    finally:
        await db.close()


async def _prune_views(settings: "Settings", db: "Database") -> None:
    from scheduler.cli import services
    from scheduler.job_queue import connect
    from scheduler.prune import prune_dead_letters

    if services.are_of_one_system():
        queue = await connect(settings)
        try:
            await prune_dead_letters(db, queue.redis, settings.redis_prefix)
        finally:
            await queue.close()
