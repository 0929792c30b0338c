"""What a scheduler says about itself, and a listener that counts none of it. Given to the learner.

Pieces call these methods on `app.metrics`. Before chapter 07 nothing comes of it; `metrics.Metrics` does the counting.
"""

from scheduler.jobs import Job, Priority, Status


class NoMetrics:
    """Counts nothing."""

    def submitted(self, job: Job) -> None:
        """A job was created. A repeat of an earlier submit is not."""

    def started(self, job: Job) -> None:
        """An attempt began."""

    def finished(self, job: Job, status: Status, seconds: float | None) -> None:
        """A job reached a terminal status; `seconds` is how long its handler ran, None if nobody knows."""

    def retried(self, job: Job) -> None:
        """An attempt failed, and another one will follow."""

    def inflight(self, number: int) -> None:
        """So many jobs run in this worker now."""

    def leases_expired(self, number: int) -> None:
        """The reaper ended so many attempts."""

    def stale_write(self) -> None:
        """A finish came too late."""

    def entries_repushed(self, number: int) -> None:
        """The reconciler pushed so many jobs whose entries were lost."""

    def push_failed(self, number: int = 1) -> None:
        """Redis did not take so many jobs; the reconciler will push them."""

    def malformed_entry(self) -> None:
        """An entry of a queue could not be read."""

    def unknown_entries(self, number: int) -> None:
        """So many entries of queues are of jobs that are not in the database."""

    def unknown_types(self, number: int) -> None:
        """A worker took so many entries for whose type it has no handler, and left them to others."""

    def watching(self, change: int) -> None:
        """So many WatchJob streams more are open; less, if negative."""

    def depth(self, priority: Priority, entries: float) -> None:
        """The queue of this priority holds so many entries; NaN if nobody knows."""

    def oldest_age(self, priority: Priority, seconds: float) -> None:
        """The job that was pushed first has waited so long; 0 if none waits, NaN if nobody knows."""

    def answered(self, method: str, code: str, seconds: float) -> None:
        """An RPC ended."""
