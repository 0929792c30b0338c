"""Hints, resetting, catching up, comparing; and what a wrong word on the command line gives."""

import importlib.util
import json
import os
import pty
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from tests.patience import SECONDS, end
from tests.workbook.books import DOUBLE, HALVE, REPOSITORY, SKELETON, Book, fresh_workbook, write
from workbook import book as own_book
from workbook import comparing, places


def test_a_hint_goes_one_level_deeper_each_time_and_says_how_many_are_left(book: Book, small: Path) -> None:
    first, second, third, fourth = (book.screen("hint") for _ in range(4))
    assert first == [
        "  01 task 1: double a number",
        "  Hint 1 of 3: a question",
        "    What is twice?",
        "  2 hints are left: workbook hint",
    ]
    assert second == [
        "  01 task 1: double a number",
        "  Hint 2 of 3: an approach",
        "    Multiply. A long line of a hint is broken where the terminal ends, so that",
        "    it can be read at eighty columns too:",
        "    - `number` once",
        "    - `number` twice",
        "  1 hint is left: workbook hint",
    ]
    last = "  That was the last hint. An answer, if you must: workbook diff 01.1 --anyway"
    assert third == [
        "  01 task 1: double a number",
        "  Hint 3 of 3: the shape",
        "        return … * …",
        last,
    ]
    assert [line for line in fourth if line.startswith("  Hint")] == [
        "  Hint 1 of 3: a question",
        "  Hint 2 of 3: an approach",
        "  Hint 3 of 3: the shape",
    ]


def test_hints_of_each_task_are_counted_apart_and_can_be_seen_again_or_begun_anew(
    book: Book, small: Path
) -> None:
    book.screen("hint", "1.1")
    book.screen("hint", "1.1")
    assert "  Hint 1 of 3: a question" in book.screen("hint", "small", "2")
    again = book.screen("hint", "1.1", "--again")
    assert "  Hint 1 of 3: a question" in again
    assert "  Hint 2 of 3: an approach" in again
    assert "  1 hint is left: workbook hint 01.1" in again
    assert "  Hint 1 of 3: a question" in book.screen("hint", "1.1", "--reset")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "No such command 'nonsense'; `workbook --help` lists them"),
        (["test", "--nonsense"], "No such option: --nonsense"),
        (["reset", "1"], "reset takes one file, and chapter 01 has these: chapters/01_small/numbers.py"),
        (["reset", "1.2"], "reset takes one file, and chapter 01 has these: chapters/01_small/numbers.py"),
        (["reset"], "say which file, as in workbook reset job_queue.py; a chapter's number lists its files"),
        (["catch-up"], "say where you want to go on, as in workbook catch-up 4, or --undo"),
        (["diff"], "say what to compare: a chapter or a task, as in workbook diff 1.3"),
    ],
)
def test_a_wrong_word_gives_one_sentence(
    book: Book, small: Path, arguments: list[str], sentence: str
) -> None:
    done = book.workbook(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Error: {sentence}\n")


@pytest.mark.parametrize("command", ["test", "hint", "diff", "catch-up", "watch", "reset"])
@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("9", "the only chapter is 01_small"),
        ("other.py", "the only chapter is 01_small"),
        ("1.x", "the only chapter is 01_small"),
        ("1.4", "chapter 01 has tasks 1 to 3"),
        ("01_small task 0", "chapter 01 has tasks 1 to 3"),
        ("chapters/01_small/test_small.py::test_task_7_it", "chapter 01 has tasks 1 to 3"),
    ],
)
def test_what_is_no_place_gets_one_sentence_from_every_command(
    book: Book, small: Path, command: str, where: str, why: str
) -> None:
    done = book.workbook(command, where)
    sentence = "say 01, 01.1, 01_small, a file of it, or a task's name"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"Error: {where} is no chapter and no task: {sentence}; {why}\n"


PLACES = {
    "01": "01.1", "1": "01.1", "small": "01.1", "01_small": "01.1", "chapters/01_small": "01.1",
    "chapters/01_small/": "01.1", "01_small/numbers.py": "01.1", "numbers.py": "01.1",
    "chapters/01_small/numbers.py:11": "01.1", "chapters/01_small/README.md": "01.1",
    "01.2": "01.2", "1.2": "01.2", "1 2": "01.2", "small.2": "01.2", "01_small task 2": "01.2",
    "01 task 2: halve a number": "01.2", "halve a number": "01.2", "halve": "01.2",
    "chapters/01_small/test_small.py::test_task_2_halves": "01.2", "Halve Without a Rest": "01.3",
}  # fmt: skip


@pytest.mark.parametrize("where", PLACES)
def test_every_command_takes_the_same_words_for_a_place(
    book: Book, small: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.chdir(book.root)
    brief = PLACES[where]
    for words in ([where], where.split()):
        assert f"task {brief[-1]}" in book.screen("hint", "--reset", *words)[0]
    with fresh_workbook(book):
        from workbook import address

        found = address.find(where)
        assert found.chapter.name == "01_small"
        assert brief in {task.brief for task in found.tasks or found.chapter.tasks}
        assert bool(found.file) == ("numbers.py" in where)


def test_test_runs_the_tasks_that_are_named_and_no_other(book: Book, small: Path) -> None:
    write(small, HALVE)
    done = book.process("test", "1.2")
    assert (done.returncode, book.bar()) == (0, "░█ ░")
    done = book.process("test", "halve", "without", "a", "rest")
    assert "✗ Task 3: halve without a rest" in done.stdout
    assert book.bar() == "░█ x"


def test_a_folder_without_chapters_gives_one_sentence(book: Book) -> None:
    done = book.workbook()
    assert done.returncode == 1
    assert done.stderr.startswith("Error: there are no chapters in ")


# -- reset


def test_reset_asks_first_and_takes_no_for_an_answer(book: Book, small: Path) -> None:
    book.workbook()  # knows the skeleton now
    write(small, DOUBLE)
    before = small.read_text(encoding="utf-8")
    said, code = _answered(book, "n\n", "reset", "numbers.py")
    assert "Put chapters/01_small/numbers.py back as it was handed out? Yours is kept. [y/N]" in said
    assert code == 1
    assert small.read_text(encoding="utf-8") == before
    _, code = _answered(book, "y\n", "reset", "numbers.py")
    assert code == 0
    assert small.read_text(encoding="utf-8") == SKELETON


def test_reset_that_nobody_can_answer_changes_nothing(book: Book, small: Path) -> None:
    book.workbook()
    write(small, DOUBLE)
    done = book.workbook("reset", "numbers.py")
    assert (done.returncode, done.stderr) == (
        1,
        "Error: this asks first, and nobody can answer here: say --yes\n",
    )


def test_reset_keeps_a_copy_with_the_time_in_its_name_which_counts_for_nothing(
    book: Book, small: Path
) -> None:
    book.workbook()
    write(small, DOUBLE)
    written = small.read_text(encoding="utf-8")
    done = book.workbook("reset", "--yes", str(small))
    assert done.returncode == 0, done.stderr
    [copy] = small.parent.glob(f"numbers.py.{time.strftime('%Y')}-*")
    assert copy.read_text("utf-8") == written
    assert small.read_text(encoding="utf-8") == SKELETON
    assert copy.name in done.stdout


def test_reset_finds_the_skeleton_in_git_below_what_has_been_committed_since(book: Book, small: Path) -> None:
    def git(*arguments: str) -> None:
        name = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *name, *arguments], cwd=book.root, check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "the book")
    write(small, DOUBLE)
    git("commit", "-qam", "my answer")
    done = book.workbook("reset", "--yes", "01_small/numbers.py")
    assert "is a skeleton again (from git, commit " in done.stdout
    assert small.read_text(encoding="utf-8") == SKELETON


def test_reset_without_any_skeleton_says_so(book: Book, small: Path) -> None:
    write(small, DOUBLE)
    done = book.workbook("reset", "--yes", "numbers.py")
    assert done.returncode == 1
    assert "neither git nor .workbook knows the skeleton of chapters/01_small/numbers.py" in done.stderr


def _answered(book: Book, answer: str, *arguments: str) -> tuple[str, int]:
    """Run a command on a terminal, and type an answer."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "workbook", *arguments],
        cwd=book.root,
        env=book.env,
        stdin=theirs,
        stdout=subprocess.PIPE,
    )
    try:
        os.write(ours, answer.encode())
        said, _ = process.communicate(timeout=SECONDS)
    finally:
        end(process)
        os.close(ours)
        os.close(theirs)
    return said.decode(), process.returncode


# -- catch-up


def test_catch_up_fills_only_what_is_not_green_and_leaves_files_alone(book: Book, small: Path) -> None:
    second, third = book.add_small("02_other"), book.add_small("03_third")
    write(small, DOUBLE, HALVE)
    book.process("test")
    before = [path.read_bytes() for path in (small, second, third)]
    done = book.workbook("catch-up", "3")
    assert "From the reference: 02_other. Your files are untouched." in done.stdout
    assert [path.read_bytes() for path in (small, second, third)] == before
    kept = json.loads((book.root / ".workbook" / "caught-up.json").read_text("utf-8"))
    assert kept == {"chapters": ["02_other"]}
    screen = book.screen()
    assert screen[1] == "  02 other  ░░ ░  caught up: the reference's"
    assert "Next:  03 task 1" in screen[3]


def test_catch_up_can_be_undone(book: Book, small: Path) -> None:
    book.add_small("02_other")
    book.workbook("catch-up", "other")
    assert "Next:  01 task 1" in book.workbook("catch-up", "--undo").stdout
    assert "caught up" not in book.workbook().stdout


# -- diff


def test_diff_waits_until_yours_is_green(book: Book) -> None:
    folder = book.add_real()
    done = book.workbook("diff", "1.1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: task 1 of chapter 01, name the queue, is not green yet: ")
    mine = 'return "q:" + Priority(priority)'
    stub = 'raise NotImplementedError("01_queue task 1: name the queue of a priority")'
    write(folder / "job_queue.py", (stub, mine))
    book.pytest("chapters/01_queue", "-k", "task_1_")
    assert book.screen("diff", "1.1") == [
        "  - is yours alone, + is the other's alone; docstrings are left out.",
        "── A plain right answer ────────────────────────────────────────────────────────",
        "queue_name  job_queue.py",
        "- def queue_name(priority: Priority) -> str:",
        '-     return "q:" + Priority(priority)',
        "+ def queue_name(priority):",
        '+     return "q:" + Priority(priority).value',
        "── The reference's answer ──────────────────────────────────────────────────────",
        "queue_name  job_queue.py",
        "  def queue_name(priority: Priority) -> str:",
        '-     return "q:" + Priority(priority)',
        '+     return f"q:{Priority(priority)}"',
    ]


def test_diff_anyway_warns_first_then_shows_both_answers_and_why_they_differ(book: Book) -> None:
    book.add_real()
    screen = book.screen("diff", "1", "5", "--anyway")
    assert screen[0].startswith("  Careful: task 5 of chapter 01, submit a job, is not green yet.")
    assert max(map(len, screen)) <= 80
    plain, reference, why = (
        next(number for number, line in enumerate(screen) if title in line)
        for title in ("A plain right answer", "The reference's answer", "Why the reference does more")
    )
    assert plain < reference < why
    assert "+     await insert_job(app, new)" in screen[plain:reference]
    assert "+     with payload_errors():" in screen[reference:why]
    assert "crash between INSERT and LPUSH" in " ".join(" ".join(screen[why:]).split())


def test_diff_says_when_there_are_no_plain_answers_here(book: Book, small: Path) -> None:
    screen = book.screen("diff", "1", "--anyway")
    assert "  There is none here: tests/chapters/steps/01_small is missing." in screen


@pytest.mark.parametrize("chapter", own_book.chapters(), ids=lambda one: one.name)
def test_every_note_is_about_an_entry_point_of_the_reference_and_no_chapter_has_more_than_five(
    chapter,
) -> None:
    data = tomllib.loads((comparing.NOTES / f"{chapter.name}.toml").read_text("utf-8"))
    assert 1 <= len(data["note"]) <= comparing.MOST_NOTES
    for note in data["note"]:
        assert set(note) == {"entry", "text"}
        found = [
            module
            for module in chapter.modules.values()
            if (spec := importlib.util.find_spec(module)) and spec.origin
            if places.read(Path(spec.origin)).find(note["entry"])
        ]
        assert found, f"the reference of {chapter.name} has no {note['entry']}"


# -- imports, and characters


HEAVY = {
    "grpc",
    "psycopg",
    "redis",
    "pytest",
    "_pytest",
    "asyncio",
    "prometheus_client",
    "structlog",
    "httpx",
}
"""What takes a learner's time to import, and belongs to servers and test runs."""
IMPORTED = """
import sys
from workbook.cli import main
sys.argv = ["workbook", *sys.argv[1:]]
try:
    main()
finally:
    sys.stderr.write("imported " + " ".join({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize("arguments", ["", "hint", "hint --again", "--help", "catch-up 1"])
def test_a_command_that_runs_no_test_imports_nothing_heavy(book: Book, small: Path, arguments: str) -> None:
    done = book.python("-c", IMPORTED, *arguments.split())
    said, _, imported = done.stderr.rpartition("imported ")
    assert (done.returncode, said) == (0, "")
    assert "typer" in imported.split()
    assert not HEAVY & set(imported.split())


def test_a_terminal_without_blocks_and_dots_gets_plain_characters(book: Book, small: Path) -> None:
    book.env["PYTHONIOENCODING"] = "cp1251"
    done = book.process(encoding="cp1251")
    assert "01 small  .. .  core 0 of 2" in done.stdout


def test_the_commands_run_from_any_folder(book: Book, small: Path) -> None:
    done = book.process("test", cwd=book.root / "chapters")
    assert (done.returncode, done.stderr) == (1, "")
    assert "Task 1: double a number" in done.stdout


def test_the_progress_folder_is_ignored_by_git() -> None:
    assert ".workbook/" in (REPOSITORY / ".gitignore").read_text("utf-8").split()
