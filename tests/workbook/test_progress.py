"""Progress comes from any test run, and is never wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import SECONDS, end
from tests.workbook.books import DOUBLE, HALVE, SKELETON, Book, write
from workbook import progress


def test_an_untouched_book_shows_the_first_task_with_its_place_and_the_next_command(
    book: Book, small: Path
) -> None:
    book.add_small("02_other")
    done = book.process()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        """
  01 small  ░░ ░  core 0 of 2 · stretch 0 of 1
  02 other  ░░ ░  core 0 of 2 · stretch 0 of 1

  Next:  01 task 1: double a number · 5 min
         chapters/01_small/numbers.py:4
  Read:  chapters/01_small/README.md
  Run:   workbook test    Stuck: workbook hint
"""
    )


def test_workbook_test_stops_at_the_first_red_task_and_says_what_to_do(book: Book, small: Path) -> None:
    write(small, DOUBLE)
    done = book.process("test")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == (
        """....F

  ✗ Task 2: halve a number
    Not written yet: halve a number
    Your line:  chapters/01_small/numbers.py:11  raise NotImplementedError("01_…

  01 small  █x ░  core 1 of 2 · stretch 0 of 1

  Again: workbook test    Stuck: workbook hint
"""
    )


def test_a_finished_core_points_to_the_next_chapter(book: Book, small: Path) -> None:
    book.add_small("02_other")
    write(small, DOUBLE, HALVE)
    done = book.process("test")
    assert done.returncode == 0
    assert "01 small  ██ ░  core 2 of 2 · stretch 0 of 1" in done.stdout
    assert "Next:  02 task 1: double a number" in done.stdout


def test_all_green_names_the_next_task_the_same_everywhere_and_no_hint(book: Book, small: Path) -> None:
    book.add_small("02_other")
    write(small, DOUBLE, HALVE)
    whole = book.pytest("chapters/01_small").stdout
    next_step = """  All green.

  Next:  02 task 1: double a number · 5 min
         chapters/02_other/numbers.py:4
  Read:  chapters/02_other/README.md
  Run:   workbook test
"""
    assert next_step in whole
    said = book.process("test", "1").stdout
    for out in (whole, said, book.pytest("chapters/01_small", "-k", "task_1_").stdout):
        assert "All green." in out
        assert [line for line in out.splitlines() if "hint" in line] == []
        assert next_step.partition("\n\n")[2] in out
    assert next_step.partition("\n\n")[2].rstrip() in book.workbook().stdout


def test_any_run_of_pytest_counts_and_the_last_failure_is_told(book: Book, small: Path) -> None:
    write(small, (DOUBLE[0], "return number"))
    done = book.pytest("chapters/01_small", "-k", "task_1_")
    assert "  Again: workbook test    Stuck: workbook hint\n" in done.stdout
    assert book.screen() == [
        "  01 small  x░ ░  core 0 of 2 · stretch 0 of 1",
        "  Next:  01 task 1: double a number · 5 min",
        "         chapters/01_small/numbers.py:4",
        "         double(1): expected 2",
        "  Read:  chapters/01_small/README.md",
        "  Run:   workbook test    Stuck: workbook hint",
    ]


def test_a_task_is_green_only_when_the_last_of_its_tests_has_passed_though_an_ide_runs_them_singly(
    book: Book, small: Path
) -> None:
    write(small, DOUBLE)
    tests = "chapters/01_small/test_small.py::test_task_1_"
    book.pytest("--collect-only", "chapters")  # as an IDE does to discover them
    book.pytest(f"{tests}doubles[1]", f"{tests}doubles[2]", f"{tests}doubles_zero")
    assert book.bar() == "░░ ░"
    book.pytest(f"{tests}doubles[3]")
    assert book.bar() == "█░ ░"


def test_a_single_test_alone_makes_no_task_green(book: Book, small: Path) -> None:
    write(small, DOUBLE)
    book.pytest("chapters/01_small/test_small.py::test_task_1_doubles_zero")
    assert book.bar() == "░░ ░"


def test_an_edit_makes_every_result_stale_and_taking_it_back_makes_them_count_again(
    book: Book, small: Path
) -> None:
    write(small, DOUBLE)
    book.pytest("chapters/01_small")
    assert book.bar() == "█x ░"
    for file in (small, small.with_name("test_small.py"), small.with_name("chapter.toml")):
        before = file.read_bytes()
        file.write_bytes(before + b"\n# edited\n")
        assert book.bar() == "▒▒ ░"
        assert "  ▒ changed since its last test" in book.screen()
        file.write_bytes(before)
        assert book.bar() == "█x ░"


def test_what_is_saved_during_a_run_is_not_taken_for_tested(book: Book, small: Path) -> None:
    saving = "__import__('pathlib').Path(__file__).open('a').write('#')\n    return 2 * number"
    write(small, (DOUBLE[0], saving))
    assert "4 passed" in book.pytest("chapters", "-k", "task_1_").stdout
    assert book.bar() == "░░ ░"


def test_another_implementation_is_nobodys_progress(book: Book, small: Path, tmp_path: Path) -> None:
    answer = tmp_path / "answer.py"
    answer.write_text(SKELETON.replace(*DOUBLE), "utf-8")
    book.pytest("chapters", "--implementation", str(answer), "-k", "task_1_")
    assert not book.progress.exists()


def test_two_runs_at_once_both_count(book: Book, small: Path) -> None:
    write(small, DOUBLE, HALVE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "chapters", "-k"]
    both = [
        subprocess.Popen([*command, f"task_{task}_"], cwd=book.root, env=book.env, stdout=subprocess.DEVNULL)
        for task in (1, 2)
    ]
    try:
        assert [one.wait(SECONDS) for one in both] == [0, 0]
    finally:
        for one in both:
            end(one)
    assert book.bar() == "██ ░"


def test_a_progress_file_that_can_not_be_written_fails_no_test(book: Book, small: Path) -> None:
    write(small, DOUBLE)
    (book.root / ".workbook").write_text("in the way", "utf-8")
    done = book.pytest("chapters", "-k", "task_1_")
    assert (done.returncode, done.stderr) == (0, "")
    assert book.bar() == "░░ ░"


GOOD = {"version": 1, "chapters": {}, "at": "", "red": 0, "hints": {}}
BAD = [
    b"",
    b"\x80\xff",
    b"{",
    b"[]",
    b"null",
    b'{"version": 2}',
    b"[" * 100_000,
    json.dumps({**GOOD, "chapters": []}).encode(),
    json.dumps({**GOOD, "chapters": {"01_small": {"tests": {"a": 1}, "all": {}, "all_digest": ""}}}).encode(),
    json.dumps({**GOOD, "hints": {"01_small task 1": "many"}}).encode(),
    json.dumps({**GOOD, "red": None}).encode(),
]


@pytest.mark.parametrize("content", BAD, ids=range(len(BAD)))
def test_a_damaged_file_means_no_progress(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "FOLDER", tmp_path)
    monkeypatch.setattr(progress, "FILE", tmp_path / "progress.json")
    progress.FILE.write_bytes(content)
    assert progress.read() == progress.Progress()
    progress.update(lambda known: known.hints.update(a=1))
    assert progress.read().hints == {"a": 1}


def test_a_writer_that_is_interrupted_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "FOLDER", tmp_path)
    monkeypatch.setattr(progress, "FILE", tmp_path / "progress.json")
    progress.update(lambda known: known.hints.update(a=1))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            progress.update(lambda known: known.hints.update(a=2))
    assert progress.read().hints == {"a": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "progress.json"]
