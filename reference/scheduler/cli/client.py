"""A connection to the scheduler's API, and what its refusals mean to a person."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import grpc
import typer

from scheduler.cli.failures import Refused

DEFAULT_ADDRESS = f"localhost:{os.environ.get('GRPC_PORT') or 8081}"
CALL_SECONDS = 15.0
OPTIONS = [
    ("grpc.enable_http_proxy", 0),  # a proxy for the web would hide a scheduler on this machine
    ("grpc.max_receive_message_length", 32 * 1024 * 1024),
]

Address = Annotated[
    str,
    typer.Option(envvar="SCHEDULER_ADDRESS", metavar="HOST:PORT", help="Where the scheduler's API is."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.", show_default=False)]


@contextmanager
def connected(address: str) -> Iterator[grpc.Channel]:
    """A channel to `address`. What goes wrong in the block becomes a `Refused` with one sentence."""
    with grpc.insecure_channel(address, OPTIONS) as channel:
        try:
            yield channel
        except grpc.RpcError as error:
            raise failure(error, address) from None


@contextmanager
def scheduler_at(address: str) -> Iterator[Any]:
    """A stub of the scheduler at `address`; otherwise as `connected`."""
    from scheduler.v1.scheduler_pb2_grpc import SchedulerServiceStub

    with connected(address) as channel:
        yield SchedulerServiceStub(channel)


def failure(error: Any, address: str) -> Refused:
    """The sentence for an RPC that failed."""
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE and is_away(details):
        return Refused(
            f"no scheduler answers at {address}: `scheduler up` or `workbook serve` starts one, --address names another"
        )
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return Refused(f"the server at {address} is no scheduler: {details}")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Refused(f"the scheduler at {address} did not answer in {CALL_SECONDS:g} s")
    return Refused(details or f"the call failed with {code.name}")


def is_away(details: str) -> bool:
    """Whether UNAVAILABLE comes from gRPC here, as nobody answers, and not from a server that says so of itself."""
    return details.startswith(
        ("failed to connect", "DNS resolution failed", "Socket closed", "recvmsg", "connections to")
    )
