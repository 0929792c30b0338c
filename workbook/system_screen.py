"""How a system looks on a terminal."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from rich.text import Text
from scheduler.cli.job_view import clock
from scheduler.cli.show import COLOURS, printable

from workbook.system import JobNow, Queue, System

ORDER = ("queued", "running", "retry", "succeeded", "failed", "deadletter", "cancelled")
FRAME = 14
"""Lines that are there whatever the system holds: headings, queues, gaps, and two changes."""


def lines(system: System, width: int, height: int) -> list[Text]:
    """The system in at most `height` lines of at most `width` columns."""
    rows = max(1, (height - FRAME) // 3)
    text = [
        _summary(system),
        Text(),
        _heading("QUEUES", "", "the entries that come out first"),
        *(_queue(queue) for queue in system.queues),
        Text(),
        _heading("RUNNING", system.counts.get("running", 0), "with their leases"),
        *_jobs(system.running, rows, lambda job: f"lease {_left(job.seconds)}  {job.worker}"),
        _heading("RETRIES", system.counts.get("retry", 0), "the soonest first"),
        *_jobs(system.retries, rows, lambda job: f"due {_due(job.seconds)}  {job.error}"),
        _heading("DEAD LETTERS", system.counts.get("deadletter", 0), "the newest first"),
        *_jobs(system.dead, rows, lambda job: job.error),
        _heading("LAST CHANGES", "", ""),
    ]
    text += _changes(system.last, max(1, height - len(text)))
    for line in text:
        line.truncate(width, overflow="ellipsis")
    return text


def _summary(system: System) -> Text:
    counts = [f"{system.counts[state]} {state}" for state in ORDER if system.counts.get(state)]
    return Text.assemble(
        ("The system", "bold"), f" {clock(system.at)[:8]} · {' · '.join(counts) or 'no jobs yet'}"
    )


def _heading(name: str, count: int | str, about: str) -> Text:
    return Text.assemble((f"{name} {count}".rstrip(), "bold"), (f"  {about}" if about else "", "dim"))


def _queue(queue: Queue) -> Text:
    first = ", ".join(f"{printable(type)} {job_id[:8]}" for type, job_id in queue.first)
    more = ", …" if queue.length > len(queue.first) else ""
    return Text(f"  {queue.name:<11}{queue.length:>5}  {first}{more}".rstrip())


def _jobs(jobs: Sequence[JobNow], rows: int, more: Callable[[JobNow], str]) -> Iterator[Text]:
    for job in islice(jobs, rows):
        tries = f"attempt {job.attempts} of {job.max_attempts}"
        yield Text(f"  {job.job_id[:8]}  {printable(job.type)[:12]:<12}  {tries:<16}  {printable(more(job))}")


def _changes(jobs: Iterable[JobNow], rows: int) -> Iterator[Text]:
    for job in islice(jobs, rows):
        tries = f"attempt {job.attempts} of {job.max_attempts}" if job.attempts else ""
        yield Text.assemble(
            f"  {clock(job.updated_at)}  {job.job_id[:8]}  {printable(job.type)[:12]:<12}  ",
            (f"{job.status:<10}", COLOURS.get(job.status, "")),
            f"  {tries}",
        )


def _left(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds:.0f} s left" if seconds > 0 else "run out"


def _due(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"in {seconds:.0f} s" if seconds > 0 else "now"
