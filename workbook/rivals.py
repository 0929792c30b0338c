"""Somebody else acts between two steps of the code under test: what a race is, made and not waited for.

with between_commands(world, push):             before each further command that the code sends to Redis
with after_statement(world, 2, finish):         after the second statement that the code sends to the database
with failing(world, ConnectionError("…")):      whatever the code asks of Redis fails in this way

The code under test waits meanwhile, as it would for a slow network; its event loop does not.
"""

import asyncio
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from workbook.world import World

MOST = 3
"""A rival that always comes between would keep those who try again, as they may, from ever getting through."""


@contextmanager
def between_commands(world: World, rival: Callable[[], Any]) -> Iterator[None]:
    """Before the second, third and fourth command that goes to Redis through `app.queue.redis`, the rival acts."""
    pool: Any = world.app.queue.redis.connection_pool
    ordinary = pool.get_connection
    changed: list[Any] = []
    sent = 0

    async def watched(*args: Any, **kwargs: Any) -> Any:
        connection = await ordinary(*args, **kwargs)
        if "send_packed_command" not in vars(connection):
            changed.append(connection)
            connection.send_packed_command = sending(connection.send_packed_command)
        return connection

    def sending(send: Callable[..., Any]) -> Callable[..., Any]:
        async def after_the_rival(*args: Any, **kwargs: Any) -> Any:
            nonlocal sent
            sent += 1
            if 1 < sent <= MOST + 1:
                await asyncio.to_thread(rival)
            return await send(*args, **kwargs)

        return after_the_rival

    pool.get_connection = watched
    try:
        yield
    finally:
        del pool.get_connection
        for connection in changed:
            del connection.send_packed_command


@contextmanager
def after_statement(world: World, number: int, rival: Callable[[], Any]) -> Iterator[None]:
    """When the database has answered the code's statement or transaction with this number, the rival acts, once."""
    databases: list[Any] = [world.app.db, world.app.guest_db]  # calls that may wait for locks have the second
    done = 0

    def followed(run: Callable[..., Any]) -> Callable[..., Any]:
        async def and_the_rival(*args: Any, **kwargs: Any) -> Any:
            nonlocal done
            answer = await run(*args, **kwargs)
            done += 1
            if done == number:
                await asyncio.to_thread(rival)
            return answer

        return and_the_rival

    for db in databases:
        db.fetch_all, db.transaction = followed(db.fetch_all), followed(db.transaction)
    try:
        yield
    finally:
        for db in databases:
            del db.fetch_all, db.transaction


class Failing:
    """A client, of Redis or of a database, that raises an error as soon as something is awaited of it."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.asked = False
        """Whether anything was."""

    def __getattr__(self, name: str) -> "Failing":
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> "Failing":
        return self

    def __await__(self) -> Generator[Any, Any, Any]:
        self.asked = True
        raise self._error
        yield

    async def __aenter__(self) -> "Failing":
        await self
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


@contextmanager
def failing(world: World, error: Exception) -> Iterator[Failing]:
    """Whatever is asked of `app.queue.redis` fails with this error. What is given, such as the hints, goes on."""
    queue: Any = world.app.queue
    redis, queue.redis = queue.redis, Failing(error)
    try:
        yield queue.redis
    finally:
        queue.redis = redis
