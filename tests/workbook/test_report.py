"""What a red test says of code that never gives way, and of errors that come in a group."""

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.chapters import runner
from tests.patience import SECONDS
from workbook import report, watchdog
from workbook.book import chapter
from workbook.loader import load_file
from workbook.loop import Hang, LoopThread
from workbook.report import Result

Work = Callable[[str], Any]


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopThread]:
    monkeypatch.setattr(watchdog, "BUSY_SECONDS", 0.4)
    thread = LoopThread({str(tmp_path / "mine.py")})
    yield thread
    thread.close()
    assert not thread._thread.is_alive(), "the loop still runs"


@pytest.fixture
def mine(tmp_path: Path) -> Callable[[str], Any]:
    """Makes a module, the file of the code under test."""

    def make(text: str) -> Any:
        path = tmp_path / "mine.py"
        path.write_text(textwrap.dedent(text), "utf-8")
        return load_file(path, "test_report")

    return make


GOES_ROUND = {
    "a loop without an await": """
        async def work(flag):
            while flag:  # here
                if flag:
                    continue
    """,
    "an await that never waits": """
        async def work(flag):
            await turns(flag)

        async def turns(flag):
            while True:  # here
                await turn(flag)

        async def turn(flag):
            for _ in flag:
                return len(flag)
    """,
    "a bare except": """
        async def work(flag):
            while flag:  # here
                try:
                    str(flag)
                except:
                    pass
    """,
    "an except for everything that does something": """
        import logging

        async def work(flag):
            while flag:  # here
                try:
                    sorted(flag)
                except BaseException:
                    logging.getLogger("mine").debug("%s", "once more")
    """,
    "a coroutine that nobody awaits": """
        async def work(flag):
            while flag:  # here
                turn()

        async def turn():
            pass
    """,
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", GOES_ROUND)
def test_a_loop_that_never_waits_is_ended_and_named(how: str, mine: Work, loop: LoopThread) -> None:
    code = mine(GOES_ROUND[how])
    with pytest.raises(Hang) as caught:
        loop.run(code.work([1, 2, 3]), 30, "work")
    lines = GOES_ROUND[how].splitlines()
    number = next(number for number, line in enumerate(lines, 1) if "# here" in line)
    assert "goes round without an await that waits" in str(caught.value)
    assert f"{code.__file__}:{number}: " in str(caught.value)
    assert loop.run(asyncio.sleep(0, "alive"), 5, "sleep") == "alive"


def test_a_loop_that_was_caught_before_is_caught_sooner(mine: Work, loop: LoopThread, monkeypatch) -> None:
    code = mine("async def work():\n    while True:\n        pass\n")
    with pytest.raises(Hang, match="goes round"):
        loop.run(code.work(), 30, "work")
    monkeypatch.setattr(watchdog, "BUSY_SECONDS", 1000)
    again = LoopThread({code.__file__})
    with pytest.raises(Hang, match="goes round"):
        again.run(code.work(), 30, "work")
    again.close()


def test_code_that_computes_and_gives_way_now_and_then_is_left_alone(mine: Work, loop: LoopThread) -> None:
    code = mine(
        """
        import asyncio, time

        async def work():
            used = time.thread_time()
            while time.thread_time() < used + 1:
                await asyncio.sleep(0)
            return "done"
        """
    )
    assert loop.run(code.work(), 30, "work") == "done"
    assert loop.goes_round is None


def test_a_line_that_sleeps_is_named_and_ended(mine: Work, loop: LoopThread) -> None:
    code = mine(
        """
        import time

        async def work():
            while True:
                time.sleep(0.01)
        """
    )
    with pytest.raises(Hang, match=r"stands still: .*mine\.py:6 blocks it: time\.sleep\(0\.01\)"):
        loop.run(code.work(), 0.2, "work")
    assert loop.goes_round is None
    assert loop.run(asyncio.sleep(0, "alive"), 5, "sleep") == "alive"


def test_what_no_cancellation_ends_does_not_end_the_run_of_tests_either(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        textwrap.dedent(
            """
            import asyncio, gc
            from workbook.loop import LoopThread

            async def work():
                while True:
                    try:
                        await asyncio.sleep(60)
                    except:
                        pass

            loop = LoopThread({__file__})
            loop.start(work())
            loop.run(asyncio.sleep(0), 5, "a turn")
            loop.close()
            del loop
            gc.collect()
            print("over")
            """
        ),
        "utf-8",
    )
    # Thrown away, the coroutine would get one more exception, and go round in the garbage collector for ever.
    done = subprocess.run(
        [sys.executable, tmp_path / "mine.py"],
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("over\n", "")


def in_a_group(tmp_path: Path, errors: str) -> Result:
    path = tmp_path / "grouped.py"
    path.write_text(
        f"""
def fails():
    raise ValueError("the first")


def decide(job, error):
    errors = [KeyError("another"), KeyError("and another")]
    try:
        fails()
    except ValueError as first:
        raise {errors}
""",
        "utf-8",
    )
    (result,) = runner.run(chapter("06"), path, test="test_task_5_a_job_without_an_error_has_succeeded")
    return result


def test_of_a_group_of_errors_the_first_is_told(tmp_path: Path) -> None:
    result = in_a_group(
        tmp_path, 'ExceptionGroup("unhandled errors in a TaskGroup", [first, *errors]) from None'
    )
    assert (result.error, result.message) == ("ValueError", "the first")
    assert result.sentence == "ValueError: the first (and 2 more)"
    assert [line.partition("grouped.py")[2] for line in result.lines[-2:]] == [
        ":9  fails()",
        ':3  raise ValueError("the first")',
    ]


def test_a_group_within_a_group_is_taken_apart_too(tmp_path: Path) -> None:
    result = in_a_group(tmp_path, 'ExceptionGroup("all", [ExceptionGroup("some", [first])]) from None')
    assert result.sentence == "ValueError: the first"


def test_a_test_that_was_taken_down_is_about_no_files():
    assert report.files_of(SimpleNamespace(funcargs=None)) == set()
