"""What the code under test asks of the database, counted: for rules about how much one request may read.

with counting(world) as asked:
    world.call("ListJobs")
asked.statements, asked.rows
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from workbook.recorder import within_a_piece
from workbook.world import World


@dataclass
class Asked:
    """How many statements went to the database, and how many rows came, shown to anybody or not."""

    statements: int = 0
    rows: int = 0


@contextmanager
def counting(world: World) -> Iterator[Asked]:
    """While the block runs, count what the code under test asks of the database, however it goes through `app.db`.

    What the server asks for itself meanwhile, as the numbers for its metrics, is not counted.
    """
    world.serve()
    asked = Asked()

    def counted(ordinary: Callable[..., Any]) -> Callable[..., Any]:
        @asynccontextmanager
        async def connection(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            async with ordinary(*args, **kwargs) as one:
                if not within_a_piece():
                    yield one
                    return
                usual = one.cursor_factory
                one.cursor_factory = _counting(usual, asked)
                try:
                    yield one
                finally:
                    one.cursor_factory = usual

        return connection

    with world.connecting(counted):
        yield asked


def _counting(usual: Any, asked: Asked) -> Any:
    class Cursor(usual):  # type: ignore[misc]
        async def execute(self, *args: Any, **kwargs: Any) -> Any:
            answer = await super().execute(*args, **kwargs)
            asked.statements += 1
            # All rows of a result are here by now, however few of them are looked at.
            asked.rows += self.pgresult.ntuples if self.pgresult is not None else 0
            return answer

    return Cursor
