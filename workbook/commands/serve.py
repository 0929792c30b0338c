"""`workbook serve`: a scheduler made of your own pieces."""

from typing import TYPE_CHECKING, Annotated

import typer
from scheduler.cli.show import dim, say

if TYPE_CHECKING:
    from scheduler.config import Settings

    from workbook.book import Chapter
    from workbook.mine import Piece

MOST = 8


def serve(
    worker: Annotated[bool, typer.Option(help="Also run a worker; without one, jobs stay queued.")] = True,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, max=MOST, help="Several, in processes that may be killed.")
    ] = 1,
) -> None:
    """Run a scheduler made of your finished pieces, and of the reference's where yours are missing.

    A piece of yours is finished when its core tests are green. Where that is not
    known, the tests run first. With --workers 2 there are two workers, each a
    process of its own that says what it does: kill one, and see what comes of it.
    """
    from scheduler import logs
    from scheduler.cli import leaving, running, services
    from scheduler.cli.failures import expected

    from workbook import mine

    with expected():
        own = mine.finished(_say_untestable, _say_testing)
        for line in mine.table(own, unfinished=mine.unfinished(own)):
            say(line)
        logs.configure()
        with services.started(lambda line: say(dim(line))) as settings:
            running.run(
                _serve(settings, own, workers if worker else 0),
                grace_seconds=settings.shutdown_grace_seconds,
                on_stop=lambda: say(dim("Stopping; Ctrl-C again ends it at once …")),
            )
    say(dim("Stopped."))
    leaving.leave()


def _say_testing(chapters: "list[Chapter]") -> None:
    names = ", ".join(one.name for one in chapters)
    say(dim(f"Running the tests of {names}, to see which pieces are finished …"))


def _say_untestable(chapter: "Chapter") -> None:
    say(f"  The tests of {chapter.name} gave no result: `pytest chapters/{chapter.name}` says why.")


async def _serve(settings: "Settings", own: "list[Piece]", workers: int) -> None:
    import asyncio
    from contextlib import AsyncExitStack

    from scheduler.cli.up import for_worker, reachable
    from scheduler.server import running_api
    from scheduler.worker.service import METRICS_PORT, running_worker

    from workbook import mine, worker_process

    parts = mine.parts(own)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(running_api(settings, parts))
        fields = [piece.field for piece in own]
        if workers > 1:
            first = for_worker(settings).metrics_port
            first = METRICS_PORT if first is None else first
            ports = [first and first + index for index in range(workers)]
            await stack.enter_async_context(worker_process.running(fields, ports))
        if workers == 1:
            await stack.enter_async_context(running_worker(for_worker(settings), parts))
        say(f"Serving on {reachable(settings.grpc_host)}:{api.port}. Ctrl-C stops it.")
        await asyncio.Event().wait()
