"""`workbook serve`: a scheduler made of your own pieces."""

from typing import TYPE_CHECKING, Annotated

import typer
from scheduler.cli.show import dim, say

if TYPE_CHECKING:
    from scheduler.config import Settings
    from scheduler.parts import Parts

    from workbook.book import Chapter


def serve(
    worker: Annotated[bool, typer.Option(help="Also run a worker; without one, jobs stay queued.")] = True,
) -> None:
    """Run a scheduler made of your finished pieces, and of the reference's where yours are missing.

    A piece of yours is finished when its core tests are green, so the chapters' tests run first.
    """
    from scheduler import logs
    from scheduler.cli import leaving, running, services
    from scheduler.cli.failures import expected

    from workbook import mine

    with expected():
        say(dim("Running the chapters' tests, to see which pieces are finished …"))
        own = mine.finished(_say_untestable)
        for line in mine.table(own):
            say(line)
        logs.configure()
        with services.started(lambda line: say(dim(line))) as settings:
            running.run(
                _serve(settings, mine.parts(own), worker),
                grace_seconds=settings.shutdown_grace_seconds,
                on_stop=lambda: say(dim("Stopping; Ctrl-C again ends it at once …")),
            )
    say(dim("Stopped."))
    leaving.leave()


def _say_untestable(chapter: "Chapter") -> None:
    say(f"  The tests of {chapter.name} gave no result: `pytest chapters/{chapter.name}` says why.")


async def _serve(settings: "Settings", parts: "Parts", with_worker: bool) -> None:
    import asyncio
    from contextlib import AsyncExitStack

    from scheduler.cli.up import for_worker, reachable
    from scheduler.server import running_api
    from scheduler.worker.service import running_worker

    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(running_api(settings, parts))
        if with_worker:
            await stack.enter_async_context(running_worker(for_worker(settings), parts))
        say(f"Serving on {reachable(settings.grpc_host)}:{api.port}. Ctrl-C stops it.")
        await asyncio.Event().wait()
