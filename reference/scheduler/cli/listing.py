"""`scheduler list`: jobs, newest first, as many pages as it takes."""

import json
from collections.abc import Iterator
from datetime import UTC
from typing import Annotated, Any

import typer

from scheduler.cli.client import CALL_SECONDS, DEFAULT_ADDRESS, Address, AsJson, scheduler_at
from scheduler.cli.job_view import (
    PriorityWord,
    StateWord,
    ago,
    job_as_json,
    priority_number,
    priority_word,
    state_number,
    state_word,
)
from scheduler.cli.show import bold, note, printable, say, state
from scheduler.v1 import scheduler_pb2 as pb

LARGEST_PAGE = 1_000
STATES = "queued, running, retry, succeeded, failed, deadletter or cancelled."
HEADER = f"{'JOB ID':<36}  {'STATE':<10}  {'PRIORITY':<8}  {'AGE':<6}  TYPE"


def list_jobs(
    of_state: Annotated[StateWord | None, typer.Option("--state", metavar="WORD", help=STATES)] = None,
    priority: Annotated[
        PriorityWord | None, typer.Option(metavar="WORD", help="critical, high, default or low.")
    ] = None,
    type: Annotated[str, typer.Option(metavar="TYPE", help="Only jobs of this type.")] = "",
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many at most.")] = 20,
    all_jobs: Annotated[bool, typer.Option("--all", help="All of them, whatever the limit.")] = False,
    address: Address = DEFAULT_ADDRESS,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first.

    With --json, one object a line.

    Examples:

      scheduler list --state deadletter
      scheduler list --type noop --all --json
    """
    request = pb.ListJobsRequest(
        state_filter=state_number(of_state) if of_state else pb.JOB_STATE_UNSPECIFIED,
        priority_filter=priority_number(priority) if priority else pb.PRIORITY_UNSPECIFIED,
        type_filter=type,
    )
    filtered = request.ByteSize() > 0
    shown = 0
    with scheduler_at(address) as stub:
        for job in _jobs(stub, request, None if all_jobs else limit + 1):
            if not all_jobs and shown == limit:
                note("There are more: --limit N shows more of them, --all every one.")
                return
            if shown == 0 and not as_json:
                say(bold(HEADER))
            say(json.dumps(job_as_json(job)) if as_json else _as_line(job))
            shown += 1
    if not shown:
        note("No such jobs." if filtered else "No jobs yet.")


def _jobs(stub: Any, request: pb.ListJobsRequest, most: int | None) -> Iterator[pb.JobStatus]:
    """The jobs of all pages, up to `most`."""
    left = most
    while True:
        request.page_size = LARGEST_PAGE if left is None else min(left, LARGEST_PAGE)
        page = stub.ListJobs(request, timeout=CALL_SECONDS)
        yield from page.jobs
        if left is not None:
            left -= len(page.jobs)
        if not page.next_page_token or left == 0:
            return
        request.page_token = page.next_page_token


def _as_line(job: pb.JobStatus) -> str:
    age = ago(job.created_at.ToDatetime(tzinfo=UTC)).removesuffix(" ago")
    return (
        f"{job.job_id}  {state(state_word(job.state), 10)}  {priority_word(job.priority):<8}  {age:<6}  "
        f"{printable(job.type)}"
    )
