"""`scheduler up --demo`: real jobs, one of each kind, submitted and watched through the API as any client would."""

import asyncio
import json
from typing import Any

import grpc

from scheduler.cli import next_steps
from scheduler.cli.board import Board, Row, board_for
from scheduler.cli.show import note, printable, say
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.v1 import scheduler_pb2_grpc

PATIENCE_SECONDS = 60.0
SEEN_SECONDS = 1.0
"""How long the job that will be cancelled is seen running."""


def _jobs(metrics_port: int) -> list[Row]:
    return [
        Row("noop", "critical"),
        Row("db_tx", "high", {"note": "written once, however often it runs"}),
        Row("sleep", "default", {"seconds": 2}),
        Row("flaky", "default", {"failures": 2}),
        Row("always_fail", "high", max_attempts=2),
        # Refused for good: whoever may submit a job must not reach what only this machine may reach.
        Row("http_call", "low", {"url": f"http://127.0.0.1:{metrics_port}/metrics"}),
        Row("sleep", "low", {"seconds": 25}, cancel=True),
    ]


def _restless() -> Row:
    """About ten minutes of retries: something to watch, and to cancel by hand."""
    return Row("flaky", "default", {"failures": 100}, max_attempts=12)


async def show(address: str, metrics_port: int) -> None:
    """Submit the jobs, show each change of state as it happens, and then print what to try next."""
    rows, restless = _jobs(metrics_port), _restless()
    async with grpc.aio.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        stub: Any = scheduler_pb2_grpc.SchedulerServiceStub(channel)
        say()
        try:
            with board_for(rows) as board:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await asyncio.gather(*(_follow(stub, row, board) for row in rows))
        except TimeoutError:
            note("Some jobs have not ended yet; `scheduler watch` follows them.")
        except grpc.aio.AioRpcError as error:
            note(f"The demo ends here: {error.details()}")
            return
        await _submit(stub, restless)
    next_steps.show(address, finished=rows[0].job_id, alive=restless.job_id)


async def _submit(stub: Any, row: Row) -> None:
    job = pb.Job(
        type=row.type,
        priority=pb.Priority.Value(f"PRIORITY_{row.priority.upper()}"),
        payload_json=json.dumps(row.payload),
        max_attempts=row.max_attempts,
    )
    row.job_id = (await stub.SubmitJob(pb.SubmitJobRequest(job=job))).job_id


async def _follow(stub: Any, row: Row, board: Board) -> None:
    """Submit one job, and tell the board of each change until the job has ended."""
    await _submit(stub, row)
    async for event in stub.WatchJob(pb.WatchJobRequest(job_id=row.job_id)):
        row.state = pb.JobState.Name(event.state).removeprefix("JOB_STATE_").lower()
        row.attempts, row.message = event.attempts, printable(event.message)
        board.changed(row)
        if row.cancel and row.state == "running":
            await asyncio.sleep(SEEN_SECONDS)
            await stub.CancelJob(pb.CancelJobRequest(job_id=row.job_id))
