"""A Redis that resets connections, or loses its role: what it raises, and who goes on all the same."""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import uvloop
from pydantic import SecretStr
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError, ResponseError
from scheduler.app import open_app
from scheduler.config import Settings
from scheduler.embedded.places import made, place_for
from scheduler.embedded.records import Record
from scheduler.embedded.redis import REDIS
from scheduler.entry import Entry
from scheduler.jobs import Priority, Status
from scheduler.redis_clients import SturdyConnection, is_no_primary, make_sturdy, patient, quick
from scheduler.worker.service import running_worker

from tests import under_test
from tests.faults.proxy import Proxy, proxy
from tests.faults.tools import at_port, short_pops  # noqa: F401
from tests.helpers import submit, until, until_status
from workbook.sandbox import Servers

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.of_reference,
    pytest.mark.filterwarnings('ignore:Overriding the "event_loop_policy" fixture'),
]

LOOPS = {"asyncio": asyncio.DefaultEventLoopPolicy(), "uvloop": uvloop.EventLoopPolicy()}


@pytest.fixture(params=LOOPS)
def event_loop_policy(request: pytest.FixtureRequest) -> Any:
    """A server runs on uvloop, where a transport that is closed raises other errors than asyncio's."""
    return LOOPS[request.param]


# A Redis that resets connections


class Resetting:
    """Answers each command with `+PONG` until it is told to reset: then every connection ends with a TCP reset."""

    def __init__(self) -> None:
        self.resets = False
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        # From here on, the end of this connection is a reset.
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        with suppress(OSError):
            if self.resets:
                writer.transport.abort()
            while data := await reader.read(65_536):
                writer.write(b"+PONG\r\n" * data.count(b"*"))

    def reset_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


@asynccontextmanager
async def resetting() -> AsyncIterator[tuple[Resetting, int]]:
    redis = Resetting()
    server = await asyncio.start_server(redis.serve, "127.0.0.1", 0)
    try:
        yield redis, server.sockets[0].getsockname()[1]
    finally:
        redis.reset_all()
        server.close()


@asynccontextmanager
async def client(port: int, **options: Any) -> AsyncIterator["Redis"]:
    redis = Redis(
        host="127.0.0.1", port=port, **{**quick(), "client_name": None, "driver_info": None, **options}
    )
    await make_sturdy(redis)
    try:
        yield redis
    finally:
        with suppress(RedisError):
            await redis.aclose()


async def asked(connection: Any) -> Any:
    await connection.send_command("PING")
    return await connection.read_response()


async def until_closed(connection: Any) -> None:
    async def look() -> bool:
        return connection._writer is None or connection._writer.transport.is_closing()

    await until(look, "the client's transport is closed")


async def test_what_a_closed_transport_raises_is_a_connection_error() -> None:
    async with resetting() as (server, port), client(port, protocol=2) as redis:
        connection = await redis.connection_pool.get_connection()
        server.reset_all()
        await until_closed(connection)
        with pytest.raises(RedisConnectionError):
            await asked(connection)
        assert not connection.is_connected
        assert await asked(connection) == b"PONG"  # on a new one
        await redis.connection_pool.release(connection)


async def test_a_transport_that_another_task_has_let_go_of_raises_a_connection_error() -> None:
    async with resetting() as (_, port), client(port, protocol=2) as redis:
        connection = await redis.connection_pool.get_connection()
        reading = asyncio.create_task(connection.read_response(timeout=None))
        await asyncio.sleep(0)
        writer, connection._writer = connection._writer, None
        with pytest.raises(RedisConnectionError):
            await connection._own_errors(connection._send_packed_command([b"PING"]))
        writer.transport.abort()
        with pytest.raises(RedisConnectionError):
            await reading
        await redis.connection_pool.release(connection)


async def test_commands_pipelines_and_subscriptions_on_connections_that_are_reset_raise_redis_errors_alone() -> (
    None
):
    async with resetting() as (server, port), client(port, protocol=2) as redis:
        kinds = set()

        async def commands() -> None:
            for _ in range(50):
                with suppress(RedisError):
                    await redis.ping()

        async def pipelines() -> None:
            for _ in range(50):
                with suppress(RedisError):
                    await redis.pipeline(transaction=False).ping().ping().execute()

        async def subscriptions() -> None:
            for _ in range(50):
                try:
                    async with redis.pubsub() as pubsub:
                        await pubsub.subscribe("a", *map(str, range(1000)))
                        await pubsub.get_message(timeout=1)
                except RedisError as error:
                    kinds.add(type(error))

        server.resets = True
        await asyncio.gather(commands(), pipelines(), subscriptions(), subscriptions())
        assert RedisConnectionError in kinds


async def test_a_job_is_accepted_and_cancelled_while_redis_resets_connections(settings: Settings) -> None:
    async with resetting() as (server, port), open_app(settings, under_test.parts()) as app:
        for one in (app.queue.redis, app.queue.blocking):
            one.connection_pool.connection_kwargs["port"] = port
            await one.connection_pool.disconnect()
        server.resets = True
        task_id = await submit(app)
        await app.parts.cancel_in_database(app, task_id)
        job = await until_status(app, task_id, Status.CANCELLED)
        with pytest.raises(RedisError):
            await app.parts.remove_entry(app, job)


# The hub goes on, whatever ends its tasks


@pytest.mark.parametrize("error", [RuntimeError("the transport is closed"), KeyError("unforeseen")], ids=type)
async def test_the_hub_listens_again_after_an_error_that_nobody_foresaw(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    async with open_app(settings, under_test.parts()) as app:
        hub, failed = app.hub, asyncio.Event()
        subscribe_to_all = hub._subscribe_to_all

        async def failing(pubsub: Any) -> None:
            if not failed.is_set():
                failed.set()
                raise error
            await subscribe_to_all(pubsub)

        monkeypatch.setattr(hub, "_subscribe_to_all", failing)
        task_id = uuid4()
        with caplog.at_level(logging.ERROR):
            async with hub.watch(task_id):  # and no watch waits for ever for a listener that is gone
                assert failed.is_set()
                await until_subscribed(app.queue.redis, task_id)
        assert "listening for hints failed; it begins again" in caplog.text


async def until_subscribed(redis: "Redis", task_id: Any) -> None:
    name = f"job:{task_id}"

    async def look() -> bool:
        return dict(await redis.pubsub_numsub(name))[name.encode()] == 1

    await until(look, f"somebody is subscribed to {name}")


# Two servers that swap their roles, behind one address that follows the primary


@dataclass
class Pair:
    """A primary and its replica with one password, and the proxy that leads to the primary."""

    ports: list[int]
    password: str
    address: Proxy

    def at(self, number: int) -> "Redis":
        return Redis(host="127.0.0.1", port=self.ports[number], password=self.password)

    async def swap(self) -> None:
        """What Sentinel does; the balancer follows for new connections, and cuts none."""
        async with self.at(0) as former, self.at(1) as primary:
            await primary.execute_command("REPLICAOF", "NO", "ONE")
            await former.execute_command("REPLICAOF", "127.0.0.1", self.ports[1])
        self.ports.reverse()
        self.address.lead_to(self.ports[0])


@pytest.fixture(scope="module")
def redises(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Record]]:
    started: list[Any] = []
    try:
        servers = []
        for name in ("one", "other"):
            place = place_for(made(tmp_path_factory.mktemp(name)), lambda _: None)
            servers.append(REDIS(place, False, lambda _: None).join_or_start(started))
            with SyncRedis(port=servers[-1].port, password=servers[-1].password) as redis:
                redis.config_set("masterauth", servers[0].password)
                redis.config_set("requirepass", servers[0].password)
        yield servers
    finally:
        for one in started:
            one.close()


@asynccontextmanager
async def primary_and_replica(redises: list[Record]) -> AsyncIterator[Pair]:
    async with proxy(redises[0].port) as address:
        pair = Pair([one.port for one in redises], redises[0].password, address)
        async with pair.at(0) as primary, pair.at(1) as replica:
            for one in (primary, replica):
                await one.execute_command("REPLICAOF", "NO", "ONE")
                await one.flushdb()
            await replica.execute_command("REPLICAOF", "127.0.0.1", pair.ports[0])

            async def follows() -> bool:
                return (await replica.info("replication"))["master_link_status"] == "up"

            # One that has not begun to follow is promoted with what an earlier test has left in it.
            await until(follows, "the replica follows")
        yield pair


def through(settings: Settings, pair: Pair) -> Settings:
    changes = {"redis_password": SecretStr(pair.password), "redis_db": 0}
    return at_port(settings.model_copy(update=changes), redis=pair.address.port)


async def tries(work: Callable[[], Awaitable[Any]]) -> list[RedisError]:
    """Do it until it works; the errors before that."""
    errors: list[RedisError] = []
    while len(errors) < 5:
        try:
            await work()
            return errors
        except RedisError as error:
            errors.append(error)
    raise AssertionError(f"it never worked: {errors}")


async def test_after_a_failover_only_the_first_command_fails_whatever_connections_there_were(
    settings: Settings, redises: list[Record]
) -> None:
    async with (
        primary_and_replica(redises) as pair,
        open_app(through(settings, pair), under_test.parts()) as app,
    ):
        entry = Entry(uuid4(), "noop", Priority.HIGH)
        await asyncio.gather(*[app.queue.redis.ping() for _ in range(10)])  # ten connections
        await app.queue.blocking.blmpop(0.01, 1, "q:high", direction="RIGHT")
        await pair.swap()
        [error] = await tries(lambda: app.queue.push(entry))
        assert isinstance(error, ReadOnlyError)
        await asyncio.gather(*[app.queue.push(entry) for _ in range(10)])
        async with pair.at(0) as primary:
            assert await primary.llen("q:high") == 11
        popped = await app.queue.blocking.blmpop(1, 1, "q:high", direction="RIGHT", count=100)
        assert len(popped[1]) == 11


async def test_a_pop_that_waits_during_a_failover_goes_on_at_the_new_primary(
    settings: Settings, redises: list[Record]
) -> None:
    async with (
        primary_and_replica(redises) as pair,
        open_app(through(settings, pair), under_test.parts()) as app,
    ):

        async def pop() -> Any:
            return await app.queue.blocking.blmpop(1, 1, "q:high", direction="RIGHT", count=100)

        waiting = asyncio.create_task(pop())

        async def blocked() -> bool:
            async with pair.at(0) as primary:
                return int((await primary.info("clients"))["blocked_clients"]) == 1

        await until(blocked, "the pop waits")
        await pair.swap()
        with pytest.raises(RedisError):
            await waiting
        await tries(lambda: app.queue.push(Entry(uuid4(), "noop", Priority.HIGH)))
        assert len((await pop())[1]) == 1


async def test_hints_are_heard_from_the_new_primary_once_a_failover_was_noticed(
    settings: Settings, redises: list[Record]
) -> None:
    async with (
        primary_and_replica(redises) as pair,
        open_app(through(settings, pair), under_test.parts()) as app,
    ):
        task_id = uuid4()
        async with app.hub.watch(task_id), pair.at(1) as other:
            await until_subscribed(app.queue.redis, task_id)
            await pair.swap()
            await tries(lambda: app.queue.push(Entry(uuid4(), "noop", Priority.HIGH)))
            await until_subscribed(other, task_id)


async def test_jobs_run_after_a_failover_without_a_restart(backends: Servers, redises: list[Record]) -> None:
    with backends.sandbox(reconcile_age_seconds=0.5) as settings:
        async with (
            primary_and_replica(redises) as pair,
            open_app(through(settings, pair), under_test.parts()) as app,
            running_worker(through(settings, pair), under_test.parts()),
        ):
            await until_status(app, await submit(app), Status.SUCCEEDED)
            await pair.swap()
            task_ids = [await submit(app) for _ in range(10)]
            for task_id in task_ids:
                await until_status(app, task_id, Status.SUCCEEDED)


@pytest.mark.parametrize(
    "line",
    ["READONLY You can't write", "MASTERDOWN Link down", "CLUSTERDOWN Hash slot", "NOREPLICAS Not enough"],
)
async def test_a_refusal_that_a_primary_never_gives_has_all_connections_made_anew(line: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers.append(writer)
        with suppress(OSError):
            while await reader.read(65_536):
                writer.write(f"-{line}\r\n".encode())

    answers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with client(server.sockets[0].getsockname()[1], protocol=2) as redis:
        for connections in (1, 2, 3):
            with pytest.raises(RedisError) as refused:
                await redis.lpush("q:high", "entry")
            assert is_no_primary(refused.value)
            assert len(answers) == connections
    server.close()


def test_an_error_of_the_command_s_own_keeps_the_connection() -> None:
    assert not is_no_primary(
        ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")
    )


async def test_the_blocking_client_is_as_sturdy() -> None:
    redis = Redis(**quick())
    await make_sturdy(redis, blocking := patient(redis))
    for one in (redis, blocking):
        assert one.connection_pool.connection_class is SturdyConnection
        assert "failovers" in one.connection_pool.connection_kwargs
        await one.aclose()
