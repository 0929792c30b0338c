"""What the driver asks of a queue. Each file in this folder has one class that answers."""

from collections.abc import Sequence
from typing import ClassVar


class Queue:
    """One queue, from the side of who submits. The database and the Redis index are empty at first, and its own.

    There are two jobs: `noop` does nothing, `stamp` calls `stamps.stamp` and nothing else.
    """

    packages: ClassVar[Sequence[str]] = ()
    """The distributions whose versions stand in the results."""
    worker: ClassVar[Sequence[str]]
    """The command of one worker process, without the Python in front."""
    services: ClassVar[Sequence[Sequence[str]]] = ()
    """Commands of what must run beside, before anybody can submit."""
    has_bulk: ClassVar[bool] = True
    """Whether it can submit several jobs in one call."""

    async def open(self) -> None:
        """Connect, and create what the worker needs to find."""

    async def close(self) -> None:
        """Disconnect."""

    async def submit(self, job: str) -> None:
        """Submit one job, `noop` or `stamp`, and return when the queue has it."""
        raise NotImplementedError

    async def submit_many(self, count: int) -> None:
        """Submit so many noop jobs in the fastest way that the queue documents."""
        for _ in range(count):
            await self.submit("noop")

    async def finished(self) -> int:
        """How many jobs have finished, and what is kept of them is written. It is asked often, so it must be cheap."""
        raise NotImplementedError
