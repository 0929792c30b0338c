"""A forgotten await is told to whoever forgot it: the coroutine must have begun in the code under test."""

import asyncio
import gc
import textwrap
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chapters import runner
from workbook.book import chapter
from workbook.loader import load_file
from workbook.loop import LoopThread
from workbook.origin import coroutines_know_their_origin
from workbook.report import is_forgotten, never_awaited

MINE = """
    import asyncio

    async def piece(x=None):
        pass

    async def forgets():
        piece()

    async def forgets_in_a_thread():
        await asyncio.to_thread(helper)

    def helper():
        asyncio.sleep(1)

    async def hands_to_a_thread(handler):
        await asyncio.to_thread(handler)

    async def calls(function):
        function()
"""


@pytest.fixture
def mine(tmp_path: Path) -> Any:
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(MINE), "utf-8")
    return load_file(path, "test_forgotten")


@pytest.fixture
def warned() -> Iterator[list[str]]:
    """What Python warns of."""
    seen: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: seen.append(str(message))
        yield seen


@pytest.fixture
def loop(mine: Any) -> Iterator[LoopThread]:
    thread = LoopThread({mine.__file__})
    yield thread
    thread.close()


@pytest.mark.parametrize(
    ("name", "line"), [("forgets", "`piece()`"), ("forgets_in_a_thread", "`asyncio.sleep(1)`")]
)
def test_a_coroutine_that_began_in_the_code_counts(
    name: str, line: str, mine: Any, warned: list[str], loop: LoopThread
) -> None:
    loop.run(getattr(mine, name)(), 20, name)
    assert [is_forgotten(text, "", {mine.__file__}) for text in warned] == [True]
    assert line in never_awaited(warned[0], {mine.__file__})


def test_one_whose_function_the_code_gave_to_a_thread_counts(
    mine: Any, warned: list[str], loop: LoopThread
) -> None:
    loop.run(mine.hands_to_a_thread(lost), 20, "it")
    assert [is_forgotten(text, "", {mine.__file__}) for text in warned] == [True]


def test_one_that_began_in_the_main_thread_counts_too(mine: Any, warned: list[str]) -> None:
    with coroutines_know_their_origin():
        mine.helper()
    assert [is_forgotten(text, "", {mine.__file__}) for text in warned] == [True]


def test_one_that_began_elsewhere_does_not_count(mine: Any, warned: list[str], loop: LoopThread) -> None:
    async def elsewhere() -> None:
        lost()

    loop.run(elsewhere(), 20, "it")
    assert ["never awaited" in text for text in warned] == [True]
    assert not is_forgotten(warned[0], "", {mine.__file__})


def test_another_warning_does_not_count(mine: Any) -> None:
    assert not is_forgotten("old, ask for another", mine.__file__, {mine.__file__})


def test_one_that_does_not_know_where_it_began_counts_where_it_was_dropped(mine: Any) -> None:
    text = "coroutine '_ServicerContext.abort' was never awaited"
    assert is_forgotten(text, mine.__file__, {mine.__file__})
    assert not is_forgotten(text, __file__, {mine.__file__})


def test_what_was_forgotten_before_the_test_is_not_blamed_on_its_code(tmp_path: Path) -> None:
    answer = tmp_path / "collects.py"
    answer.write_text(
        "import gc\n\n\ndef queue_name(priority):\n    gc.collect()\n    return 'q:' + priority\n", "utf-8"
    )
    gc.disable()  # so that the answer is who finds it
    try:
        _leave_for_the_collector(lost)
        results = runner.run(chapter("01"), answer, test="test_task_1_names_the_queue_of_each_priority")
    finally:
        gc.enable()
    assert not runner.red(results)


def _leave_for_the_collector(function: Callable[[], Any]) -> None:
    with coroutines_know_their_origin():  # as whatever runs in a chapter's test
        circle: list[Any] = [function()]
    circle.append(circle)


async def lost() -> None:
    await asyncio.sleep(0)
