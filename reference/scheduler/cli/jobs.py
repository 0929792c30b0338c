"""`scheduler submit`, `get`, `cancel` and `requeue`: one call each."""

import json
import sys
from typing import Annotated

import typer

from scheduler.cli.client import CALL_SECONDS, DEFAULT_ADDRESS, Address, AsJson, JobId, scheduler_at
from scheduler.cli.failures import Misused, Refused
from scheduler.cli.job_view import PriorityWord, job_as_json, job_as_lines, priority_number
from scheduler.cli.show import say
from scheduler.cli.watch import follow
from scheduler.v1 import scheduler_pb2 as pb


def submit(
    type: Annotated[
        str, typer.Argument(metavar="TYPE", help="Names the handler, such as noop.", show_default=False)
    ],
    priority: Annotated[
        PriorityWord, typer.Option(metavar="WORD", help="critical, high, default or low.")
    ] = PriorityWord.default,
    payload: Annotated[
        str, typer.Option(metavar="JSON", help="What the handler gets; @FILE reads a file, - standard input.")
    ] = "{}",
    key: Annotated[
        str, typer.Option(metavar="KEY", help="Idempotency key: the same key is the same job.")
    ] = "",
    max_attempts: Annotated[
        int, typer.Option(min=1, max=100, metavar="N", help="How often it may be tried.")
    ] = 3,
    job_id: Annotated[
        str, typer.Option("--id", metavar="UUID", help="The job's id; left out, a new one.")
    ] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it until it has ended.")] = False,
    address: Address = DEFAULT_ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Submit a job, and print its id.

    A repeat with the same --id or --key creates nothing, and prints the id of
    the first job.

    Examples:

      scheduler submit noop --priority high
      scheduler submit sleep --payload '{"seconds": 5}' --watch
      scheduler submit flaky --max-attempts 5 --key order-4711
    """
    job = pb.Job(
        job_id=job_id,
        type=type,
        priority=priority_number(priority),
        payload_json=read_text(payload),
        idempotency_key=key,
        max_attempts=max_attempts,
    )
    with scheduler_at(address) as stub:
        answer = stub.SubmitJob(pb.SubmitJobRequest(job=job), timeout=CALL_SECONDS)
        say(json.dumps({"job_id": answer.job_id}) if as_json else answer.job_id)
        if watch:
            follow(stub, answer.job_id, 0, as_json)


def get(job_id: JobId, address: Address = DEFAULT_ADDRESS, as_json: AsJson = False) -> None:
    """Show a job: its state, its attempts, its times, its last error.

    Times are the database's, shown in the time zone of this machine; with
    --json, in UTC.

    Example:

      scheduler get 2b3f3a54-8a0c-4c0e-9a55-1f6d1c1c7f3e --json
    """
    with scheduler_at(address) as stub:
        status = stub.GetJob(pb.GetJobRequest(job_id=job_id), timeout=CALL_SECONDS)
    if as_json:
        say(json.dumps(job_as_json(status)))
        return
    for line in job_as_lines(status):
        say(line)


def cancel(job_id: JobId, address: Address = DEFAULT_ADDRESS, as_json: AsJson = False) -> None:
    """Cancel a job that has not ended.

    A running handler is told within a heartbeat (three seconds, unless set).
    The exit code is 1 if the job had ended already.
    """
    with scheduler_at(address) as stub:
        answer = stub.CancelJob(pb.CancelJobRequest(job_id=job_id), timeout=CALL_SECONDS)
    _report(
        "cancelled", answer.cancelled, job_id, as_json, "the job had ended already, so nothing was cancelled"
    )


def requeue(job_id: JobId, address: Address = DEFAULT_ADDRESS, as_json: AsJson = False) -> None:
    """Run a failed or dead-lettered job again.

    The exit code is 1 if the job is neither.
    """
    with scheduler_at(address) as stub:
        answer = stub.RequeueJob(pb.RequeueJobRequest(job_id=job_id), timeout=CALL_SECONDS)
    _report(
        "requeued", answer.requeued, job_id, as_json, "only a failed or dead-lettered job can be run again"
    )


def _report(what: str, done: bool, job_id: str, as_json: bool, otherwise: str) -> None:
    if as_json:
        say(json.dumps({"job_id": job_id.lower(), what: done}))
        if not done:
            raise typer.Exit(1)
    elif done:
        say(f"{what} {job_id.lower()}")
    else:
        raise Refused(otherwise)


def read_text(argument: str) -> str:
    """An argument's text: its own, that of the file that `@FILE` names, or for `-` standard input's."""
    try:
        if argument == "-":
            return sys.stdin.read()
        if argument.startswith("@"):
            with open(argument[1:], encoding="utf-8") as file:
                return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Misused(f"{argument} can't be read: {error}") from None
    return argument
