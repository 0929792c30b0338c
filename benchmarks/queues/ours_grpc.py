"""This scheduler as its clients meet it: SubmitJob and SubmitJobs through gRPC, to an API server of its own process."""

import os

from grpc import aio
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.v1 import scheduler_pb2_grpc

from benchmarks.queues.ours import Ours


class OursGrpc(Ours):
    """The same rows, the same worker; only the way in is another."""

    services = (("-m", "scheduler", "api", "--handlers", "benchmarks.queues.ours"),)

    async def open(self) -> None:
        await super().open()
        channel = aio.insecure_channel(
            f"127.0.0.1:{os.environ['GRPC_PORT']}", [("grpc.enable_http_proxy", 0)]
        )
        await self._open.enter_async_context(channel)
        self.stub: scheduler_pb2_grpc.SchedulerServiceAsyncStub = scheduler_pb2_grpc.SchedulerServiceStub(
            channel
        )
        # The server starts: the first call waits for it, and the others find a connection.
        await self.stub.SubmitJobs(pb.SubmitJobsRequest(), wait_for_ready=True, timeout=30)

    async def submit(self, job: str) -> None:
        await self.stub.SubmitJob(pb.SubmitJobRequest(job=pb.Job(type=job)))

    async def submit_many(self, count: int) -> None:
        await self.stub.SubmitJobs(pb.SubmitJobsRequest(jobs=[pb.Job(type="noop")] * count))
