"""The work itself: a registry of handlers, and those that come with the scheduler. Given to the learner.

A handler is a function of the app and the job. An async one runs on the event loop; a plain one runs in a thread, so
that it may block. It returns when the job is done, raises when it is not, and raises `PermanentError` when trying again
is of no use. It may run twice for one job (a worker can die after the work and before the finish), so what it does
must be safe to do twice. Your own takes five lines:

    from scheduler.worker.handlers import handler

    @handler("send_welcome_mail")
    async def send_welcome_mail(app, job):
        await mailer.send(job.payload["to"], idempotency_key=str(job.task_id))

Work that keeps the processor busy holds up every other handler of the worker, in a thread too. Give it to processes,
and let them be spawned: a forked one would share the worker's connections.

    processes = ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))

    @handler("resize_image")
    async def resize_image(app, job):
        await asyncio.get_running_loop().run_in_executor(processes, resize, job.payload["path"])
"""

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from scheduler.jobs import Job, PermanentError
from scheduler.worker.http_call import http_call
from scheduler.worker.payload import fields_of, number_of
from scheduler.worker.runs import Run, Threads, current

if TYPE_CHECKING:
    from scheduler.app import App

Handler = Callable[["App", Job], Awaitable[None] | None]
H = TypeVar("H", bound=Callable[..., Any])


def must_stop() -> bool:
    """Whether the plain handler that calls this should end: its time is up, or its job was cancelled.

    A thread can't be stopped from outside, so a long-running plain handler should ask now and then; and so should what
    an async one does in `asyncio.to_thread`.
    """
    run = current.get()
    return run is not None and run.ended


class Handlers:
    """A registry: job type → handler."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._async: dict[str, bool] = {}
        self._threads: Threads | None = None
        self._runs: set[Run] = set()
        self._left: set[Run] = set()

    def __call__(self, type: str) -> Callable[[H], H]:
        """Register the decorated function for a job type.

        Raises `ValueError` if the type is taken, and `TypeError` if the function has a `yield` in it.
        """

        def register(function: H) -> H:
            if type in self._handlers:
                raise ValueError(f"there is a handler for {type!r} already")
            if _is_generator(function):
                raise TypeError(
                    f"the handler for {type!r} has a yield in it: to call it makes a generator, and runs nothing"
                )
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
        """How many runs are over, but not their threads: of all jobs, or of this one.

        A plain handler whose time was up is such a run, and an async one that was cancelled in `asyncio.to_thread`.
        """
        for run in list(self._left):
            if not run.threads:
                self._left.discard(run)
        return len(self._left) if job is None else sum(run.job.task_id == job.task_id for run in self._left)

    def unfinished(self) -> list[Job]:
        """The jobs whose handler is at it, whether somebody waits for it or not."""
        return [run.job for run in [*self._runs, *self._left] if not run.ended or run.threads]

    async def run(self, app: "App", job: Job) -> None:
        """Run the job's handler, and raise what it raises; `PermanentError` if there is none for its type.

        The handler gets `app.guest`: whatever it does with `app.db`, the worker's own statements have connections.
        """
        app = app.guest
        handler = self._handlers.get(job.type)
        if handler is None:
            raise PermanentError(f"no handler is registered for the type {job.type!r}")
        run = Run(job)
        outer = current.get()
        current.set(run)
        self._runs.add(run)
        try:
            if self._async[job.type]:
                await cast("Awaitable[None]", handler(app, job))
            else:
                await self._run_in_thread(handler, app, job)
        except BaseException:
            if run.threads:
                self._left.add(run)
            raise
        finally:
            run.ended = True
            self._runs.discard(run)
            current.set(outer)

    async def _run_in_thread(self, handler: Handler, app: "App", job: Job) -> None:
        if self._threads is None:
            # Threads are made when they are needed, and the worker's slots are what limits them.
            self._threads = Threads(MOST_THREADS, "handler")
        context = contextvars.copy_context()
        result = await asyncio.wrap_future(self._threads.submit(context.run, handler, app, job))
        if inspect.isawaitable(result):
            await result  # an async handler inside a plain function: some decorators make that
        elif inspect.isgenerator(result) or inspect.isasyncgen(result):
            raise TypeError("the handler gave a generator back, which runs nothing: is there a yield in it?")


def _is_generator(function: Callable[..., Any]) -> bool:
    called = [function, getattr(type(function), "__call__", None)]  # noqa: B004
    return any(inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one) for one in called)


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
