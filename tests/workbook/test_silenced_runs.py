"""Runs of tests, each a process of its own, whose code under test does what could silence them."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.workbook.books import DOUBLE, HALVE, Book, write

WRONG = (DOUBLE[0], "return 3 * number")
THREAD = "import threading, time, os, atexit, sys\n"


def begin_with(small: Path, top: str) -> None:
    small.write_text(f"{THREAD}{top}\n" + small.read_text("utf-8"), "utf-8")


def green(book: Book) -> "dict[str, bool]":
    tests = json.loads(book.progress.read_text("utf-8"))["chapters"]["01_small"]["tests"]
    return {name.partition("[")[0]: test["passed"] for name, test in tests.items()}


@pytest.mark.parametrize(
    "thread",
    [
        "threading.Thread(target=forever).start()",
        "__import__('concurrent.futures').futures.ThreadPoolExecutor().submit(forever)",
    ],
)
@pytest.mark.parametrize(("first", "code"), [(DOUBLE, 0), (WRONG, 1)])
def test_a_thread_that_never_ends_keeps_no_run_from_its_end_and_its_verdict(
    book: Book, small: Path, thread: str, first: tuple[str, str], code: int
) -> None:
    write(small, first, HALVE)
    begin_with(small, f"def forever():\n    while True:\n        time.sleep(60)\n\n{thread}\n")
    done = book.pytest("chapters/01_small")
    assert done.returncode == code
    assert "A thread of your code still runs" in done.stdout
    assert "numbers.py:4: time.sleep(60)" in done.stdout


@pytest.mark.parametrize("how", ["atexit.register(os._exit, 0)", "atexit.register(lambda: os._exit(0))"])
def test_nothing_that_runs_at_exit_makes_a_red_run_green(book: Book, small: Path, how: str) -> None:
    write(small, WRONG, HALVE)
    begin_with(small, how)
    assert book.pytest("chapters/01_small").returncode == 1


@pytest.mark.parametrize(
    "how",
    [
        "os._exit(0)",
        "sys.exit(0)",
        "__import__('pytest').exit('enough', 0)",
        "__import__('pytest').skip('not today', allow_module_level=True)",
        "raise KeyboardInterrupt",
    ],
)
@pytest.mark.parametrize("place", ["the top", "a function"])
def test_what_would_end_the_run_makes_it_red_and_nothing_green(
    book: Book, small: Path, how: str, place: str
) -> None:
    write(small, DOUBLE if place == "the top" else (DOUBLE[0], how), HALVE)
    if place == "the top":
        begin_with(small, how)
    else:
        begin_with(small, "")
    done = book.pytest("chapters/01_small")
    assert done.returncode == 1
    assert "numbers.py:" in done.stdout
    assert "All green" not in done.stdout
    assert not green(book)["test_task_1_doubles"]


@pytest.mark.parametrize(
    "how",
    [
        "sys.stdout = sys.stderr = None",
        "sys.stdout.close(); sys.stderr.close(); sys.__stdout__.close(); sys.__stderr__.close()",
        "os.close(1); os.close(2)",
        "os.chdir('/')",
        "sys.setrecursionlimit(60)",
        "__import__('logging').disable(100)",
        "__import__('warnings').simplefilter('error')",
    ],
)
def test_what_upsets_the_process_leaves_the_verdict_and_its_sentence(
    book: Book, small: Path, how: str
) -> None:
    write(small, WRONG, HALVE)
    begin_with(small, how)
    done = book.pytest("chapters/01_small")
    assert done.returncode == 1
    assert "double(1): expected 2" in done.stdout
    assert green(book) == {
        "test_task_1_doubles": False,
        "test_task_1_doubles_zero": True,
        "test_task_2_halves": True,
    }


def test_much_output_is_not_shown_and_hides_nothing(book: Book, small: Path) -> None:
    write(small, (DOUBLE[0], "print('x' * 10**7)\n    return 3 * number"), HALVE)
    done = book.pytest("chapters/01_small")
    assert done.returncode == 1
    assert "double(1): expected 2" in done.stdout
    assert len(done.stdout) < 10_000


@pytest.mark.parametrize("options", [["-n2"], ["-n2", "--stretch"], ["-n2", "-k", "task_2"]])
def test_several_processes_say_and_remember_what_one_does(
    book: Book, small: Path, options: list[str]
) -> None:
    write(small, (DOUBLE[0], "return number"))
    alone = book.pytest("chapters/01_small", *options[1:])
    of_one = green(book)
    book.progress.unlink()
    several = book.pytest("chapters/01_small", *options)
    assert several.returncode == alone.returncode == 1
    assert told(several) == told(alone)
    assert green(book) == of_one


def test_a_process_of_several_that_dies_is_a_red_test(book: Book, small: Path) -> None:
    write(small, (DOUBLE[0], "__import__('ctypes').CDLL(None)._exit(0)"), HALVE)
    done = book.pytest("chapters/01_small", "-n2")
    assert done.returncode == 1
    assert "the process of this test ended in the middle of it" in done.stdout
    assert not green(book)["test_task_1_doubles"]


def told(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """What stands under the progress of the tests."""
    lines = done.stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("01_small"))
    return [line for line in lines[start:] if " in " not in line and line]
