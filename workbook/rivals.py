"""Somebody else acts between two steps of the code under test: what a race is, made and not waited for.

with between_commands(world, push):             before each further command that the code sends to Redis
with after_statement(world, 2, finish):         after the second statement that the code sends to the database
with scripts_forgotten(world):                  the Redis that the code reaches knows no script of earlier calls
with failing(world, ConnectionError("…")):      whatever the code asks of Redis fails in this way

The code under test waits meanwhile, as it would for a slow network; its event loop does not.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from workbook.world import World

MOST = 3
"""A rival that always comes between would keep those who try again, as they may, from ever getting through."""


Send = Callable[..., Awaitable[Any]]


@contextmanager
def _sending(world: World, changed_to: Callable[[Send], Send]) -> Iterator[None]:
    """While the block runs, what goes to Redis through `app.queue.redis` is sent by what this makes of `send`."""
    pool: Any = world.app.queue.redis.connection_pool
    ordinary = pool.get_connection
    changed: list[Any] = []

    async def watched(*args: Any, **kwargs: Any) -> Any:
        connection = await ordinary(*args, **kwargs)
        if "send_packed_command" not in vars(connection):
            changed.append(connection)
            connection.send_packed_command = changed_to(connection.send_packed_command)
        return connection

    pool.get_connection = watched
    try:
        yield
    finally:
        del pool.get_connection
        for connection in changed:
            del connection.send_packed_command


@contextmanager
def between_commands(world: World, rival: Callable[[], Any]) -> Iterator[None]:
    """Before the second, third and fourth command that goes to Redis through `app.queue.redis`, the rival acts."""
    sent = 0

    def sending(send: Send) -> Send:
        async def after_the_rival(*args: Any, **kwargs: Any) -> Any:
            nonlocal sent
            sent += 1
            if 1 < sent <= MOST + 1:
                await asyncio.to_thread(rival)
            return await send(*args, **kwargs)

        return after_the_rival

    with _sending(world, sending):
        yield


SHA = re.compile(rb"(?<=\$40\r\n)[0-9a-f]{40}(?=\r\n)", re.IGNORECASE)
"""The name of a script, as it goes over the wire."""
LOADS = re.compile(rb"\r\n(EVAL|EVAL_RO|LOAD)\r\n", re.IGNORECASE)
"""What tells Redis a script."""


@contextmanager
def scripts_forgotten(world: World) -> Iterator[None]:
    """As after a restart of Redis, for this world alone: a script is unknown until one is sent with its text."""
    told = False

    def sending(send: Send) -> Send:
        async def of_no_known_script(command: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal told
            whole = b"".join([command] if isinstance(command, bytes) else command)
            told = told or LOADS.search(whole) is not None
            return await send(command if told else [SHA.sub(b"0" * 40, whole)], *args, **kwargs)

        return of_no_known_script

    with _sending(world, sending):
        yield


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
