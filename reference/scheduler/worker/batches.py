"""Statements for many rows that no single row can stop: what is locked is skipped, and what is refused is left out.

Somebody's open transaction may hold a row for long, and a row may be such that the database refuses to change it. A
statement for five hundred would wait or fail for all of them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, TypeVar
from uuid import UUID

from scheduler.app import App
from scheduler.connections import Connection
from scheduler.database import Lost, Row, TooSlow, Unavailable, is_data_error

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

_refused: set[object] = set()
MOST_REMEMBERED = 10_000

MOST_AT_ONCE = 500

_LOOK = "SELECT task_id, version, now() AS seen FROM tasks WHERE {condition} ORDER BY {order} LIMIT %s"
_DUE = """
        SELECT t.task_id, v.seen
        FROM unnest(%s::uuid[], %s::int8[], %s::timestamptz[]) AS v(id, was, seen) JOIN tasks AS t ON t.task_id = v.id
        WHERE t.version = v.was AND {condition}
        ORDER BY t.task_id FOR UPDATE OF t"""
_SKIP = " SKIP LOCKED"


class Due:
    """The rows that are due for a duty, 500 at most, and the statement that does it.

    They are looked for first, and the statement names those that were found, with the versions that they had. So it
    takes no others, however late the database gets to it: one that hung while the database was away must not take all
    that has become due meanwhile. And whoever lost its reply knows which rows to ask for. What is locked is left out
    by the look already, or 500 locked rows would be all that is ever found.
    """

    def __init__(self, condition: str, order: str, statement: str, done: str) -> None:
        """`{due}` in `statement` are the rows; `done` finds those that it has done, given the rows alone."""
        self._look = _LOOK.format(condition=condition, order=order) + " FOR UPDATE" + _SKIP
        due = _DUE.format(condition=condition)
        self.statement = statement.replace("{due}", due + _SKIP)
        self._waiting = statement.replace("{due}", due)
        self._done = done

    async def fetch(self, app: App, *params: Any) -> list[Row]:
        """Do it, and return the rows. `params` are those of the condition."""
        done: list[Row] = []
        began = monotonic()
        while len(done) < MOST_AT_ONCE:
            most = MOST_AT_ONCE - len(done)
            found = await self._found(app, params, most, began)
            rows = await in_halves(list(found), partial(self._do, app, found, params))
            done += rows
            if len(found) < most or not rows:
                break
            # Others have looked at the same time, and taken some of these: there may be more that nobody has seen.
        return done

    async def _found(self, app: App, params: Sequence[Any], most: int, began: float) -> dict[UUID, Row]:
        rows = await app.db.fetch_all(self._look, [*params, most])
        if monotonic() > began + app.settings.heartbeat_seconds:
            return {}  # something hung: what is seen now may have become due while nobody could do anything about it
        return {row["task_id"]: row for row in rows}

    async def _do(
        self, app: App, found: dict[UUID, Row], params: Sequence[Any], task_ids: Sequence[UUID]
    ) -> list[Row]:
        rows = [found[task_id] for task_id in task_ids]
        columns = [list(task_ids), [row["version"] for row in rows], [row["seen"] for row in rows]]
        try:
            return await app.db.fetch_all(self.statement, [*columns, *params])
        except Lost:
            return await settle(app, self._waiting, [*columns, *params], self._done, columns)


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


async def settle(
    app: App, again: str, params: Sequence[Any], done: str, done_params: Sequence[Any]
) -> list[Row]:
    """Find out what became of a statement whose reply was lost: run it `again`, and read what is `done` then.

    The first try may have committed, or may still be at it: the second waits for it at the rows. While the database is
    away this waits, for as long as it takes. If it gave up, the first try might be done yet, as soon as the database
    gets to it, and nobody would know that those rows are his. So it must run where it can be cancelled.
    """
    while True:
        await wait_for_database(app)
        try:
            with suppress(TooSlow):
                await fetch_waiting(app, app.settings.heartbeat_seconds, again, params)
            return await app.db.fetch_all(done, done_params)
        except Unavailable:
            await asyncio.sleep(0.1)


SILENCE_SECONDS = 5.0


async def fetch_waiting(app: App, seconds: float, sql: str, params: Sequence[Any]) -> list[Row]:
    """Run a statement that waits for locked rows, so long at most; then it raises `TooSlow`.

    Raises `Lost` if the database does not even say that: nobody knows what becomes of the statement then.
    """

    async def work(connection: Connection) -> list[Row]:
        await connection.execute(
            b"SELECT set_config('lock_timeout', %s, true)", [f"{max(1, int(seconds * 1000))}ms"]
        )
        cursor = await connection.execute(sql.encode(), params)
        return await cursor.fetchall()

    try:
        async with asyncio.timeout(seconds + SILENCE_SECONDS):
            return await app.db.transaction(work)
    except TimeoutError:
        raise Lost("no answer came") from None


async def wait_for_database(app: App, seconds: float | None = None) -> None:
    """Return when the database answers. Raises `Unavailable` if it has not after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            while not await app.db.is_up():  # noqa: ASYNC110  (nothing tells us; we have to ask)
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise Unavailable("the database is out of reach") from None
