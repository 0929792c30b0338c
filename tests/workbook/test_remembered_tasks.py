"""`workbook test` leaves out what is known to be green, and never what is not."""

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.workbook.books import DOUBLE, HALVE, REPOSITORY, Book, write
from workbook import depends
from workbook.book import chapter

TOML = """
title = "Two files"

[modules]
"numbers.py" = "scheduler.worker.retries"
"texts.py" = "scheduler.worker.retries"

[[task]]
name = "double a number"
file = "numbers.py"
entry = ["double"]
minutes = 5

[[task]]
name = "say it twice"
file = "texts.py"
entry = ["twice"]
minutes = 5
"""
TESTS = """
from pathlib import Path

def ran(task):
    with Path(__file__).parents[2].joinpath("ran").open("a") as file:
        file.write(f"{task} ")

def test_task_1_doubles(code):
    ran(1)
    assert code.double(2) == 4

def test_task_2_says_it_twice(code):
    ran(2)
    assert code.twice("a") == "aa"
"""
NUMBERS = "def double(number):\n    return 2 * number\n"
TEXTS = "import aid\n\n\ndef twice(text):\n    return text * aid.TWO\n"


@pytest.fixture
def two(book: Book) -> Path:
    """A chapter of two files that is green; the second imports one that no list names. Returns its folder."""
    folder = book.root / "chapters" / "01_two"
    folder.mkdir(parents=True)
    for name, text in (
        ("chapter.toml", TOML), ("test_two.py", TESTS), ("numbers.py", NUMBERS), ("texts.py", TEXTS),
        ("README.md", "A page."),
    ):  # fmt: skip
        (folder / name).write_text(text, "utf-8")
    (book.root / "aid.py").write_text("TWO = 2\n", "utf-8")
    assert run_by(book) == (0, {1, 2})
    return folder


def run_by(book: Book, *options: str) -> tuple[int, set[int]]:
    """The exit code of `workbook test 1`, and the tasks whose tests it ran."""
    log = book.root / "ran"
    log.unlink(missing_ok=True)
    done = book.process("test", "1", *options)
    assert done.stderr == ""
    return done.returncode, set(map(int, log.read_text("utf-8").split())) if log.exists() else set()


DEPENDS = {
    "chapters/01_two/numbers.py": {1, 2},
    "chapters/01_two/texts.py": {2},
    "aid.py": {2},
    "chapters/01_two/test_two.py": {1, 2},
    "chapters/01_two/chapter.toml": {1, 2},
    "chapters/01_two/new.json": {1, 2},
    "chapters/01_two/README.md": set(),
    "chapters/01_two/texts.py.2026-11-24-093000": set(),
    "chapters/conftest.py": {1, 2},
    "conftest.py": {1, 2},
    "pyproject.toml": {1, 2},
    "notes.txt": set(),
}


def test_after_a_change_of_any_file_what_depends_on_it_is_tested_again_and_nothing_else(
    book: Book, two: Path
) -> None:
    for name, tasks in DEPENDS.items():
        path = book.root / name
        before = path.read_text("utf-8") if path.exists() else ""
        path.write_text(f"{before}\n# changed\n", "utf-8")
        assert run_by(book) == (0, tasks), name
        assert run_by(book) == (0, set()), name


def test_what_a_change_has_broken_is_red_whichever_file_it_is_in(book: Book, two: Path) -> None:
    for path, right, wrong, tasks in (
        (book.root / "aid.py", "TWO = 2", "TWO = 3", {2}),
        (two / "texts.py", "text * ", "text + text + text * ", {2}),
        (two / "numbers.py", "2 *", "3 *", {1}),
    ):
        write(path, (right, wrong))
        assert run_by(book) == (1, tasks), path
        assert run_by(book) == (1, tasks), path
        write(path, (wrong, right))
        run_by(book)


def test_a_file_from_a_machine_whose_clock_is_ahead_counts_as_any_other(book: Book, two: Path) -> None:
    write(two / "numbers.py", ("2 *", "1 + 1 *"))
    assert run_by(book)[0] == 1
    write(two / "numbers.py", ("1 + 1 *", "2 *"))
    ahead = time.time() + 3600
    os.utime(two / "numbers.py", (ahead, ahead))
    assert run_by(book, "--again") == (0, {1, 2})
    assert run_by(book) == (0, set())


def test_a_helper_that_is_saved_during_a_run_is_not_taken_for_tested(book: Book, two: Path) -> None:
    saving = "TWO = 2\n__import__('pathlib').Path(__file__).open('a').write('#')\n"
    (book.root / "aid.py").write_text(saving, "utf-8")
    assert run_by(book) == (0, {2})
    assert run_by(book) == (0, {2})


def test_who_asks_gets_all_of_it_tested_again(book: Book, two: Path) -> None:
    assert run_by(book) == (0, set())
    assert run_by(book, "--again") == (0, {1, 2})
    assert run_by(book, "--all") == (0, {1, 2})
    (book.root / "ran").unlink()
    assert book.process("test", "1.1").returncode == 0
    assert (book.root / "ran").read_text("utf-8") == "1 "
    (book.root / "ran").unlink()
    assert "2 passed" in book.pytest("chapters/01_two").stdout
    assert (book.root / "ran").read_text("utf-8") == "1 2 "


def test_what_is_left_out_is_said_and_how_to_test_it_all(book: Book, small: Path) -> None:
    write(small, DOUBLE)
    book.process("test")
    assert (
        "Task 1 was green with this code already; workbook test 01 --again tests"
        in book.process("test").stdout
    )
    write(small, HALVE)
    first, second = book.process("test", "1").stdout, book.process("test", "1").stdout
    assert "already" not in first
    assert "  All green.\n  Tasks 1 to 2 were green with this code already; workbook test 01" in second


def test_a_result_depends_on_every_file_of_the_tools_and_of_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    folders = [tmp_path / name for name in ("workbook", "scheduler")]
    for source, folder in zip(
        (REPOSITORY / "workbook", REPOSITORY / "reference" / "scheduler"), folders, strict=True
    ):
        shutil.copytree(source, folder, ignore=ignored)
    monkeypatch.setattr(depends, "_tools", lambda: tuple(folders))
    one = chapter("1")
    unchanged = depends.Contents().digest(one, [])
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 100
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content + b"#")
        assert depends.Contents().digest(one, []) != unchanged, path
        path.write_bytes(content)
    assert depends.Contents().digest(one, []) == unchanged
