"""The work itself: a registry of handlers, and those that come with the scheduler. Given to the learner.

A handler is a function of the app and the job. An async one runs on the event loop; a plain one runs in a thread, so
that it may block. It returns when the job is done, raises when it is not, and raises `PermanentError` when trying again
is of no use. It may run twice for one job (a worker can die after the work and before the finish), so what it does
must be safe to do twice. Your own takes five lines:

    from scheduler.worker.handlers import handler

    @handler("send_welcome_mail")
    async def send_welcome_mail(app, job):
        await mailer.send(job.payload["to"], idempotency_key=str(job.task_id))
"""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar, cast

from scheduler.jobs import Job, PermanentError
from scheduler.worker.http_call import http_call
from scheduler.worker.payload import fields_of, number_of

if TYPE_CHECKING:
    from scheduler.app import App

Handler = Callable[["App", Job], Awaitable[None] | None]
H = TypeVar("H", bound=Callable[..., Any])

_asked_to_stop: contextvars.ContextVar[threading.Event | None] = contextvars.ContextVar("stop", default=None)


def must_stop() -> bool:
    """Whether the plain handler that calls this should end: its time is up, or its job was cancelled.

    A thread can't be stopped from outside, so a long-running plain handler should ask now and then.
    """
    event = _asked_to_stop.get()
    return event is not None and event.is_set()


class Handlers:
    """A registry: job type → handler."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._async: dict[str, bool] = {}
        self._threads: ThreadPoolExecutor | None = None
        self._abandoned: dict[Future[None], Job] = {}

    def __call__(self, type: str) -> Callable[[H], H]:
        """Register the decorated function for a job type. Raises `ValueError` if the type is taken."""

        def register(function: H) -> H:
            if type in self._handlers:
                raise ValueError(f"there is a handler for {type!r} already")
            self._handlers[type] = function
            # Here and not for each job: to look takes longer than a handler that does nothing.
            self._async[type] = inspect.iscoroutinefunction(function)
            return function

        return register

    def __contains__(self, type: str) -> bool:
        return type in self._handlers

    def __iter__(self) -> Iterator[str]:
        return iter(self._handlers)

    def abandoned(self, job: Job | None = None) -> int:
        """How many threads still run although nobody waits for them any more: all of them, or those of one job."""
        jobs = list(self._abandoned.values())
        return len(jobs) if job is None else sum(one.task_id == job.task_id for one in jobs)

    async def run(self, app: "App", job: Job) -> None:
        """Run the job's handler, and raise what it raises; `PermanentError` if there is none for its type."""
        handler = self._handlers.get(job.type)
        if handler is None:
            raise PermanentError(f"no handler is registered for the type {job.type!r}")
        if self._async[job.type]:
            await cast("Awaitable[None]", handler(app, job))
        else:
            await self._run_in_thread(handler, app, job)

    async def _run_in_thread(self, handler: Handler, app: "App", job: Job) -> None:
        if self._threads is None:
            # Threads are made when they are needed, and the worker's slots are what limits them.
            self._threads = ThreadPoolExecutor(MOST_THREADS, "handler")
        stop = threading.Event()
        context = contextvars.copy_context()
        context.run(_asked_to_stop.set, stop)
        work: Future[Any] = self._threads.submit(context.run, _call, handler, app, job)
        try:
            result = await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            stop.set()
            if not work.done():
                self._abandoned[work] = job
                work.add_done_callback(lambda done: self._abandoned.pop(done, None))
            raise
        if inspect.isawaitable(result):
            await result  # an async handler inside a plain function: some decorators make that


def _call(handler: Handler, app: "App", job: Job) -> Any:
    try:
        return handler(app, job)
    except StopIteration as error:  # asyncio's futures can't hold one: whoever waited would wait for ever
        raise RuntimeError("the handler raised StopIteration") from error


MOST_THREADS = 10_000

handlers = handler = Handlers()
"""The registry of this process."""


@handler("noop")
async def noop(app: "App", job: Job) -> None:
    """Does nothing, fast."""


@handler("sleep")
async def sleep(app: "App", job: Job) -> None:
    """Waits `{"seconds": 1}`."""
    await asyncio.sleep(number_of(job, "seconds", 1, largest=3600))


@handler("flaky")
async def flaky(app: "App", job: Job) -> None:
    """Fails its first `{"failures": 2}` attempts, and then succeeds."""
    failures = int(number_of(job, "failures", 2, largest=100))
    if job.attempts <= failures:
        raise RuntimeError(f"failing attempt {job.attempts} of the first {failures}, as asked")


@handler("always_fail")
async def always_fail(app: "App", job: Job) -> None:
    """Fails each time; with `{"permanent": true}`, for good."""
    kind = PermanentError if fields_of(job).get("permanent") is True else RuntimeError
    raise kind("failing, as asked")


@handler("db_tx")
async def db_tx(app: "App", job: Job) -> None:
    """Writes `{"note": "…"}` to a table, once, however often it runs: the job's id is the row's key."""
    note = str(fields_of(job).get("note", "")).replace("\0", "")
    await app.db.fetch_all(
        "INSERT INTO db_tx_effects (task_id, note) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        [job.task_id, note],
    )


handler("http_call")(http_call)
