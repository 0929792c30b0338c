"""How this scheduler talks to Redis: quickly or not at all, but for one command that waits. Given to the learner."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, TypeVar

from redis.asyncio import Connection, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

T = TypeVar("T")

COMMAND_SECONDS = 0.5
"""An ordinary command that takes longer has failed. redis-py's own default would hold a SubmitJob up for seconds."""

BLOCK_SECONDS = 1.0
"""How long a blocking pop waits for an entry. Stopping a worker waits this long at most."""

NO_PRIMARY = ("READONLY", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "UNBLOCKED", "LOADING", "NOAUTH")
"""How the refusals of a server begin that is not, or no longer, the one to write to. Its address may lead elsewhere."""


def quick() -> dict[str, Any]:
    """Options for a client of ordinary commands: it gives up soon, and never tries again.

    Trying again is for those who know what it would mean: a pop whose reply was lost has taken its entry.
    """
    return {
        "socket_timeout": COMMAND_SECONDS,
        "socket_connect_timeout": COMMAND_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "client_name": "scheduler",
    }


def patient(redis: "Redis") -> "Redis":
    """A second client for the same Redis, with connections of its own, for pops that wait `BLOCK_SECONDS`."""
    pool = redis.connection_pool
    options = {**pool.connection_kwargs, "socket_timeout": BLOCK_SECONDS + 2}
    return Redis.from_pool(ConnectionPool(connection_class=pool.connection_class, **options))


class Failovers:
    """How often the server behind an address refused what only a primary does. All connections to it share one."""

    def __init__(self) -> None:
        self.number = 0


class SturdyConnection(Connection):
    """A connection that fails with redis-py's own errors alone, and does not stay with a server that lost its role.

    Two things that redis-py leaves open. A connection that was reset raises whatever the event loop's transport
    raises (uvloop: RuntimeError), which no `except RedisError` sees. And after a failover it goes on asking the former
    primary, which refuses each write with READONLY, for as long as that lives.
    """

    def __init__(self, *, failovers: Failovers, **options: Any) -> None:
        super().__init__(**options)
        self._failovers = failovers
        self._connected_at = failovers.number

    @property
    def is_outdated(self) -> bool:
        """Whether a failover was noticed, on this connection or on another, after this one was made."""
        return self._connected_at != self._failovers.number

    async def connect(self) -> None:
        """Connect, if need be anew. The pool calls this before it hands a connection out."""
        if self.is_connected and self.is_outdated:
            await self.disconnect(nowait=True)
        await super().connect()  # type: ignore[no-untyped-call]

    async def connect_check_health(self, *args: Any, **options: Any) -> None:
        if not self.is_connected:
            self._connected_at = self._failovers.number
        await self._own_errors(super().connect_check_health(*args, **options))

    async def disconnect(self, *args: Any, **options: Any) -> None:
        await self._own_errors(super().disconnect(*args, **options))

    async def can_read(self) -> bool:
        return await self._own_errors(super().can_read())

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        await self._own_errors(super().send_packed_command(*args, **options))

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await self._own_errors(super().read_response(*args, **options))
        except (ResponseError, RedisConnectionError) as error:
            # Not closed here: in a pipeline, the answers to the other commands still follow.
            if is_no_primary(error) and not self.is_outdated:
                self._failovers.number += 1
            raise

    async def _own_errors(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except RedisError:
            raise
        except Exception as error:
            # What is left is no use: a transport that is closed, or one that another task has just let go of.
            with suppress(Exception):
                self._close()  # type: ignore[no-untyped-call]
            raise RedisConnectionError(f"the connection broke: {type(error).__name__}") from error


def is_no_primary(error: RedisError) -> bool:
    """Whether a server said that it does not take what is written, though another one may by now."""
    code = getattr(error, "status_code", None) or str(error).partition(" ")[0]
    return code in NO_PRIMARY


def is_outdated(connection: object) -> bool:
    """Whether a connection leads to a server that was found not to be the primary any more."""
    return isinstance(connection, SturdyConnection) and connection.is_outdated


async def make_sturdy(*clients: "Redis") -> None:
    """Let clients of one Redis make `SturdyConnection`s from now on. What they have open is closed."""
    failovers = Failovers()
    for client in clients:
        pool = client.connection_pool
        if pool.connection_class is Connection:
            client.connection_pool = ConnectionPool(
                connection_class=SturdyConnection,
                max_connections=pool.max_connections,
                **{**pool.connection_kwargs, "failovers": failovers},
            )
            await pool.disconnect()


def heed_cancellation() -> None:
    """Raise the cancellation of this task that a command to Redis swallowed, if one did.

    redis-py sends with asyncio.wait_for, and before Python 3.12 that swallows a cancellation which comes in the same
    turn of the loop as the end of the sending. Call this where a task that somebody waits for would go on.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
