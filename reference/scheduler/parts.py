"""The pieces that the chapters teach, side by side. The server and the worker reach each piece through here alone.

So the same server runs the reference, a learner's own code, or one piece of somebody else's among the reference's.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from prometheus_client import CollectorRegistry

from scheduler.config import Settings
from scheduler.errors import Context
from scheduler.jobs import Job, NewJob, Priority
from scheduler.v1 import scheduler_pb2 as pb

if TYPE_CHECKING:
    from scheduler.app import App
    from scheduler.entry import Entry, Queueable
    from scheduler.job_queue import JobQueue
    from scheduler.metrics import MetricsServer
    from scheduler.no_metrics import NoMetrics
    from scheduler.worker.one_job import Outcome


class RunsJobs(Protocol):
    """A worker: `run` works until `stop` was called and what ran has ended."""

    async def run(self) -> None: ...
    async def stop(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Parts:
    """One field a piece, in the order of the chapters."""

    # 01 queue
    queue_name: "Callable[[Priority], str]"
    encode_entry: "Callable[[Queueable], bytes]"
    connect: "Callable[[Settings], Awaitable[JobQueue]]"
    submit_job: "Callable[[App, NewJob], Awaitable[UUID]]"
    submit_jobs: "Callable[[App, Sequence[NewJob]], Awaitable[list[UUID]]]"
    # 02 getjob
    state_to_proto: "Callable[[str], pb.JobState.ValueType]"
    job_to_status: "Callable[[Job], pb.JobStatus]"
    get_job: "Callable[[App, pb.GetJobRequest, Context], Awaitable[pb.JobStatus]]"
    # 03 watchjob
    to_event: "Callable[[Job], pb.JobEvent]"
    watch_job: "Callable[[App, pb.WatchJobRequest, Context], AsyncIterator[pb.JobEvent]]"
    # 04 cancel
    cancel_in_database: "Callable[[App, UUID], Awaitable[Job | None]]"
    remove_entry: "Callable[[App, Job], Awaitable[int]]"
    cancel_job: "Callable[[App, pb.CancelJobRequest, Context], Awaitable[pb.CancelJobResponse]]"
    requeue_job: "Callable[[App, pb.RequeueJobRequest, Context], Awaitable[pb.RequeueJobResponse]]"
    # 05 listjobs
    page_size: "Callable[[int], int]"
    list_jobs: "Callable[[App, pb.ListJobsRequest, Context], Awaitable[pb.ListJobsResponse]]"
    # 06 worker, part A
    take: "Callable[[App, int], Awaitable[list[Entry]]]"
    claim: "Callable[[App, Sequence[Entry]], Awaitable[list[Job]]]"
    run_handler: "Callable[[App, Job], Awaitable[Exception | None]]"
    backoff_delay: "Callable[[int, float, float], float]"
    decide: "Callable[[Job, Exception | None], Outcome]"
    finish: "Callable[[App, Job, Outcome], Awaitable[bool]]"
    pump_retries: "Callable[[App], Awaitable[int]]"
    # 06 worker, part B
    worker: "Callable[[App], RunsJobs]"
    heartbeat: "Callable[[App, Sequence[Job]], Awaitable[set[UUID]]]"
    reap: "Callable[[App], Awaitable[int]]"
    give_back: "Callable[[App, Sequence[Job]], Awaitable[list[Job]]]"
    reconcile: "Callable[[App], Awaitable[int]]"
    # 07 metrics
    build_metrics: "Callable[[CollectorRegistry], NoMetrics]"
    serve_metrics: "Callable[..., MetricsServer]"
    refresh_depth: "Callable[[App], Awaitable[Any]]"
    metrics_interceptor: "Callable[[NoMetrics], Any]"


def reference() -> Parts:
    """Every piece from the reference."""
    from scheduler import job_queue, metrics, metrics_interceptor
    from scheduler.api import cancel_job, get_job, list_jobs, requeue_job, submit_job, submit_jobs, watch_job
    from scheduler.worker import leases, one_job, reconciler, retries, worker

    return Parts(
        queue_name=job_queue.queue_name,
        encode_entry=job_queue.encode_entry,
        connect=job_queue.connect,
        submit_job=submit_job.submit_job,
        submit_jobs=submit_jobs.submit_jobs,
        state_to_proto=get_job.state_to_proto,
        job_to_status=get_job.job_to_status,
        get_job=get_job.get_job,
        to_event=watch_job.to_event,
        watch_job=watch_job.watch_job,
        cancel_in_database=cancel_job.cancel_in_database,
        remove_entry=cancel_job.remove_entry,
        cancel_job=cancel_job.cancel_job,
        requeue_job=requeue_job.requeue_job,
        page_size=list_jobs.page_size,
        list_jobs=list_jobs.list_jobs,
        take=one_job.take,
        claim=one_job.claim,
        run_handler=one_job.run_handler,
        backoff_delay=retries.backoff_delay,
        decide=one_job.decide,
        finish=one_job.finish,
        pump_retries=retries.pump_retries,
        worker=worker.Worker,
        heartbeat=leases.heartbeat,
        reap=leases.reap,
        give_back=leases.give_back,
        reconcile=reconciler.reconcile,
        build_metrics=metrics.build_metrics,
        serve_metrics=metrics.serve_metrics,
        refresh_depth=metrics.refresh_depth,
        metrics_interceptor=metrics_interceptor.MetricsInterceptor,
    )
