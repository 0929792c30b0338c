"""`scheduler redis`: one Redis command, answered as redis-cli answers."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from scheduler.cli import resp
from scheduler.cli.failures import Refused, expected
from scheduler.cli.show import say

if TYPE_CHECKING:
    from scheduler.config import Settings

ENDLESS = {"SUBSCRIBE", "PSUBSCRIBE", "MONITOR"}


def redis(
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="COMMAND", help="The command and its arguments.", show_default=False),
    ],
    raw: Annotated[
        bool, typer.Option("--raw", help="Bare values, for programs. Goes before the command.")
    ] = False,
) -> None:
    """Run one Redis command, and show the answer as redis-cli does.

    It goes to the Redis of REDIS_HOST, else to that of a running
    `scheduler up`. With REDIS_PREFIX=a:, write a:q:high for q:high. SUBSCRIBE and MONITOR go on until Ctrl-C.

    Examples:

      scheduler redis LLEN q:high
      scheduler redis LRANGE q:high 0 -1
      scheduler redis ZRANGE leases 0 -1 WITHSCORES
      scheduler redis MONITOR
    """
    from scheduler.cli import services

    with expected():
        settings = services.found_redis()
    try:
        _run(settings, arguments, raw)
    except OSError as error:
        where = f"{settings.redis_host}:{settings.redis_port}"
        raise Refused(f"Redis at {where} does not answer: {error.strerror or error}") from None
    except (EOFError, ValueError) as error:
        raise Refused(f"Redis at {settings.redis_host}:{settings.redis_port}: {error}") from None


def _run(settings: "Settings", arguments: list[str], raw: bool) -> None:
    connection = _connect(settings)
    try:
        reply = connection.command(*arguments)
        _write(reply, raw)
        if isinstance(reply, resp.ErrorReply):
            raise typer.Exit(1)
        while arguments[0].upper() in ENDLESS:
            _write(connection.read(), raw)
    finally:
        connection.close()


def _connect(settings: "Settings") -> resp.Connection:
    address = settings.redis_address()
    connection = resp.Connection(address["host"], address["port"])
    greeting = [("AUTH", address["password"])] if address["password"] else []
    greeting += [("SELECT", str(address["db"]))] if address["db"] else []
    for command in greeting:
        reply = connection.command(*command)
        if isinstance(reply, resp.ErrorReply):
            connection.close()
            raise ValueError(f"{command[0]} was refused: {reply.text.decode(errors='replace')}")
    return connection


def _write(reply: resp.Reply, raw: bool) -> None:
    if raw:
        sys.stdout.buffer.write(resp.raw(reply) + b"\n")
        sys.stdout.buffer.flush()
    else:
        say(resp.show(reply))
