"""`scheduler watch`: a job's changes, as they happen."""

import json
from datetime import UTC
from typing import Annotated, Any

import typer

from scheduler.cli.client import DEFAULT_ADDRESS, Address, AsJson, JobId, scheduler_at
from scheduler.cli.job_view import clock, state_word
from scheduler.cli.show import dim, printable, say, state
from scheduler.v1 import scheduler_pb2 as pb


def watch(
    job_id: JobId,
    after_version: Annotated[
        int, typer.Option(min=0, metavar="N", help="Show only changes after this version.")
    ] = 0,
    address: Address = DEFAULT_ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Follow a job until it has ended.

    Prints its present state, then each change. With --json, one object a line.
    The exit code is 0 if it succeeded, and 1 if it ended in any other way.

    Example:

      scheduler watch 2b3f3a54-8a0c-4c0e-9a55-1f6d1c1c7f3e
    """
    with scheduler_at(address) as stub:
        follow(stub, job_id, after_version, as_json)


def follow(stub: Any, job_id: str, after_version: int, as_json: bool) -> None:
    """Print the events of a job until the stream ends. Exits with 1 if the last one is not a success."""
    last = ""
    for event in stub.WatchJob(pb.WatchJobRequest(job_id=job_id, after_version=after_version)):
        last = state_word(event.state)
        say(json.dumps(_as_json(event)) if as_json else _as_line(event))
    # Resumed after its last version, a watch ends without an event, and how the job ended is not for us to say.
    if last not in ("succeeded", ""):
        raise typer.Exit(1)


def _as_json(event: pb.JobEvent) -> dict[str, Any]:
    return {
        "job_id": event.job_id,
        "state": state_word(event.state),
        "message": event.message,
        "timestamp": event.timestamp.ToJsonString(),
        "attempts": event.attempts,
        "version": event.version,
    }


def _as_line(event: pb.JobEvent) -> str:
    when = clock(event.timestamp.ToDatetime(tzinfo=UTC))
    return f"{dim(when)}  {state(state_word(event.state), 10)}  {printable(event.message)}"
