"""Chapter 07, tasks 1 to 5: the metrics, and the port that shows them. Read README.md beside this file first."""

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter
from scheduler.app import App
from scheduler.jobs import Job, Status
from scheduler.no_metrics import NoMetrics


class Metrics(NoMetrics):
    """What is counted. The pieces of the scheduler call the methods; Prometheus reads what came of it.

    A method that is not written here is inherited from `NoMetrics`, and counts nothing. Task 4 adds `depth`, task 5
    `oldest_age`, and task 6 `answered` and `watching`: `scheduler/no_metrics.py` says what they get and what it means.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        # Given, as an example: a counter without labels. `push_failed` below makes it rise.
        self._push_failures = Counter(
            "scheduler_push_failures_total", "Jobs that Redis did not take", registry=registry
        )
        # Task 1: the other metrics go here.

    def push_failed(self, number: int = 1) -> None:
        """Given."""
        self._push_failures.inc(number)

    def submitted(self, job: Job) -> None:
        """Task 2: a job was created. Count it by its priority and its type.

        A type that has no handler counts as `unknown`.

        Hint: anybody may submit a job of any type. How many series would Prometheus have to keep?
        """
        raise NotImplementedError("07_metrics task 2: count a submitted job")

    def finished(self, job: Job, status: Status, seconds: float | None) -> None:
        """Task 2: a job ended with this status. Count it, and put down how many seconds its handler ran.

        `seconds` is None if nobody knows: then there is nothing to put down, and the job is counted all the same.

        Hint: `job` is the job as it was when it was claimed. Which status has it?
        """
        raise NotImplementedError("07_metrics task 2: count a finished job")


def build_metrics(registry: CollectorRegistry) -> Metrics:
    """Task 1: make the metrics of this registry. The lesson says which: write them in `Metrics.__init__`.

    Hint: what does `Counter(…)` register itself with when nobody says `registry=`?
    """
    raise NotImplementedError("07_metrics task 1: build the metrics")


def serve_metrics(
    registry: CollectorRegistry,
    port: int,
    host: str = "127.0.0.1",
    is_ready: Callable[[], bool] = lambda: True,
) -> Any:
    """Task 3: serve the metrics of this registry at `http://host:port/metrics`, and return at once.

    Return an object with `port`, the port that is really used (port 0 means any that is free), and `close()`, which
    stops serving and frees the port. Raise `OSError` if the port is taken. Serve from a thread of its own, so that
    Prometheus gets its answer while the event loop is busy. You may ignore `is_ready`.

    Hint: prometheus_client has a function that does most of this. What does it return?
    """
    raise NotImplementedError("07_metrics task 3: serve the metrics")


async def refresh_depth(app: App) -> int:
    """Task 4: tell `app.metrics.depth(priority, entries)` how many entries each of the four queues holds. Return 0.

    Write `Metrics.depth` too. The server calls this every two seconds.

    Task 5 (stretch): also tell `app.metrics.oldest_age(priority, seconds)` how long the job that was pushed first has
    been queued; 0 if none is queued. What can't be known, because Redis or the database is away, is NaN.

    Hint: which method of a gauge is right for a number that you have just looked up?
    """
    raise NotImplementedError("07_metrics task 4: show how long the queues are")
