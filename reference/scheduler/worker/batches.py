"""Statements for many rows that no single row can stop: what is locked is skipped, and what is refused is left out.

Somebody's open transaction may hold a row for long, and a row may be such that the database refuses to change it. A
statement for five hundred would wait or fail for all of them.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from scheduler.app import App
from scheduler.connections import Connection
from scheduler.database import Row, is_data_error

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

_refused: set[object] = set()
MOST_REMEMBERED = 10_000


class Due:
    """The rows that are due for a duty, 500 at a time, and the statement that does it: `{due}` in it names them."""

    def __init__(self, condition: str, order: str, statement: str) -> None:
        due = f"SELECT task_id FROM tasks WHERE {condition}"
        first = f"ORDER BY {order} LIMIT 500"
        self._first = statement.replace("{due}", f"{due} {first} FOR UPDATE SKIP LOCKED")
        self._which = f"{due} {first}"
        self._these = statement.replace(
            "{due}", f"{due} AND task_id = ANY(%s::uuid[]) FOR UPDATE SKIP LOCKED"
        )

    async def fetch(self, app: App, *params: Any) -> list[Row]:
        """Do it, and return the rows. `params` are those of the condition."""
        try:
            return await app.db.fetch_all(self._first, params)
        except Exception as error:
            if not is_data_error(error):
                raise

        async def do(task_ids: Sequence[UUID]) -> list[Row]:
            return await app.db.fetch_all(self._these, [*params, list(task_ids)])

        rows = await app.db.fetch_all(self._which, params)
        return await in_halves([row["task_id"] for row in rows], do)


async def in_halves(items: Sequence[T], run: Callable[[Sequence[T]], Awaitable[list[R]]]) -> list[R]:
    """Run this for all items; if the database refuses one of them, for halves and their halves, without that one."""
    if not items:
        return []
    try:
        return await run(items)
    except Exception as error:
        if not is_data_error(error):
            raise
        if len(items) == 1:
            _say_once(items[0], error)
            return []
    middle = len(items) // 2
    return await in_halves(items[:middle], run) + await in_halves(items[middle:], run)


def _say_once(item: object, error: Exception) -> None:
    if item not in _refused and len(_refused) < MOST_REMEMBERED:
        _refused.add(item)
        log.error("the database refuses a row, which is left out: %s", error, extra={"job_id": item})


async def fetch_waiting(app: App, seconds: float, sql: str, params: Sequence[Any]) -> list[Row]:
    """Run a statement that waits for locked rows, so long at most; then it raises `TooSlow`."""

    async def work(connection: Connection) -> list[Row]:
        await connection.execute(
            b"SELECT set_config('lock_timeout', %s, true)", [f"{max(1, int(seconds * 1000))}ms"]
        )
        cursor = await connection.execute(sql.encode(), params)
        return await cursor.fetchall()

    return await app.db.transaction(work)
