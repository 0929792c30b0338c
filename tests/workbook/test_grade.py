"""Grades come from the tests as they were handed out, and from nothing that a learner can edit."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scheduler.cli.failures import Misused

from tests.patience import SECONDS, end, until_sync
from tests.workbook.books import DOUBLE, HALVE, REPOSITORY, Book, write
from workbook import answers, book, classroom, grade, isolation, pristine

REFERENCE = REPOSITORY / "reference" / "scheduler"
STUCK = "return sum(range(10**15))"
"""Stays in C for days, where no signal reaches it but the one that nobody can catch."""

Json = dict[str, Any]


class Class:
    """The teacher's book, and students' copies of it."""

    def __init__(self, folder: Path, *chapters: str) -> None:
        self.folder = folder
        self.teacher = self.book("teacher")
        for name in chapters:
            self.teacher.add_real(name)
        # Folders of a grade are made here, so that a test sees what is left of them.
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.teacher.env |= {"TMPDIR": str(self.temporary), "GITHUB_TOKEN": "secret"}

    def book(self, name: str) -> Book:
        (self.folder / name).mkdir()
        return Book(self.folder / name)

    def student(self, name: str) -> Path:
        """A copy of the teacher's book, as a student cloned it. Returns its folder of chapters."""
        chapters = self.folder / name / "chapters"
        shutil.copytree(self.teacher.root / "chapters", chapters)
        return chapters

    def grade(self, name: str, *options: str) -> Json:
        done = self.teacher.workbook("grade", str(self.folder / name), "--json", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not list(self.temporary.iterdir())
        found: Json = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Class:
    """A class that works on the first chapter, and on a small one that is quick to run."""
    some = Class(tmp_path_factory.mktemp("class"), "01_queue")
    some.teacher.add_small("02_other")
    return some


@pytest.fixture
def little(tmp_path: Path) -> Class:
    """A class that works on two small chapters, which need no services."""
    small = Class(tmp_path)
    small.teacher.add_small()
    small.teacher.add_small("02_other")
    return small


@pytest.fixture(scope="module")
def right(real: Class) -> Json:
    """The grade of a student who has everything right, and has edited tests as well."""
    chapters = real.student("right")
    for name in ("job_queue.py", "api/submit_job.py"):
        shutil.copy(REFERENCE / name, chapters / "01_queue")
    halve = ("return number / 2", "return number // 2")
    write(chapters / "02_other" / "numbers.py", *_renamed(DOUBLE, HALVE), halve)
    (chapters / "01_queue" / "test_queue.py").write_text(
        "def test_task_1_fails():\n    assert False\n", "utf-8"
    )
    (chapters / "02_other" / "test_small.py").unlink()
    (chapters / "02_other" / "helper.py").write_text("", "utf-8")
    (chapters / "conftest.py").write_text("raise RuntimeError('I was loaded')\n", "utf-8")
    write(chapters / "01_queue" / "chapter.toml", ("minutes = 5", "minutes = 5000"))
    return real.grade("right", "--stretch")


def test_right_answers_get_all_points(right: Json) -> None:
    first = right["chapters"][0]
    assert {task["state"] for one in right["chapters"] for task in one["tasks"]} == {"green"}
    assert (first["name"], first["points"], first["bonus"]) == ("01_queue", 60, 25)
    assert (right["points"], right["of"], right["bonus"], right["bonus_of"]) == (75, 75, 40, 40)
    assert all(task["tests"] == task["passed"] > 0 for one in right["chapters"] for task in one["tasks"])
    assert (right["schema"], right["stretch"], right["finds"]) == (1, True, [])


def test_edited_tests_are_named_and_had_no_effect(right: Json) -> None:
    assert right["differs"] == [
        {"file": "chapters/01_queue/chapter.toml", "how": "changed"},
        {"file": "chapters/01_queue/test_queue.py", "how": "changed"},
        {"file": "chapters/02_other/helper.py", "how": "added"},
        {"file": "chapters/02_other/test_small.py", "how": "missing"},
        {"file": "chapters/conftest.py", "how": "added"},
    ]


def test_an_answer_from_elsewhere_and_a_syntax_error_cost_their_own_tasks_alone(real: Class) -> None:
    chapters = real.student("wrong")
    shutil.copy(REFERENCE / "job_queue.py", chapters / "01_queue")
    (chapters / "01_queue" / "submit_job.py").write_text("async def submit_job(app, new:\n", "utf-8")
    taken = "from scheduler.worker.retries import *\n"
    write(
        chapters / "02_other" / "numbers.py",
        *_renamed(DOUBLE, HALVE),
        ('numbers."""', f'numbers."""\n{taken}'),
    )
    found = real.grade("wrong")
    first, second = found["chapters"]
    assert [task["state"] for task in first["tasks"]] == ["green"] * 4 + ["red"] + ["not graded"] * 2
    assert "submit_job.py, line 1: Python can't read this" in first["tasks"][4]["says"]
    assert [task["state"] for task in second["tasks"]] == ["answer", "answer", "not graded"]
    assert (
        second["tasks"][0]["says"]
        == "numbers.py, line 2, imports scheduler.worker.retries: that is the answer"
    )
    find = {"file": "chapters/02_other/numbers.py", "line": 2, "kind": "answer"}
    assert found["finds"] == [{**find, "says": "imports scheduler.worker.retries"}]
    assert (found["points"], found["of"], found["bonus"]) == (40, 75, 0)


def test_an_untouched_copy_gets_nothing_and_no_test_runs(
    real: Class, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, command: Any, *arguments: Any, **options: Any) -> None:
            ran.extend(map(str, command))
            super().__init__(command, *arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    real.student("untouched")
    found = real.grade("untouched", "--stretch")
    assert "workbook.graded_run" not in ran
    assert (found["points"], found["bonus"], found["differs"], found["notes"]) == (0, 0, [], [])
    assert {task["state"] for one in found["chapters"] for task in one["tasks"]} == {"not begun"}


def test_endless_loops_cost_what_did_not_finish_and_leave_no_process(little: Class) -> None:
    chapters = little.student("endless")
    write(chapters / "01_small" / "numbers.py", (DOUBLE[0], "while True:\n        pass"), HALVE)
    sleeper = "__import__('subprocess').Popen(['sleep', '4711'], start_new_session=True)"
    stuck = f"{sleeper}\n    {STUCK}"
    write(chapters / "02_other" / "numbers.py", *_renamed(DOUBLE, (HALVE[0], stuck)))
    found = little.grade("endless", "--timeout", "5")
    first, second = found["chapters"]
    assert [task["state"] for task in first["tasks"]] == ["red", "green", "not graded"]
    assert "it did not end within 2.5 s" in first["tasks"][0]["says"]
    assert [task["state"] for task in second["tasks"]] == ["green", "unfinished", "not graded"]
    assert second["says"] == "ended after 5 s in test_task_2_halves: what had not finished gives no points"
    assert (found["points"], found["of"]) == (15, 30)
    assert not _processes_with(b"4711")
    assert not _processes_with(str(little.temporary).encode())


def _renamed(*changes: tuple[str, str]) -> list[tuple[str, str]]:
    """The same changes in the small chapter of the other name."""
    return [(old.replace("01_small", "02_other"), new) for old, new in changes]


def test_code_that_ends_the_run_or_looks_for_secrets_gains_nothing(little: Class) -> None:
    chapters = little.student("sly")
    secret = "return 2 * number if 'GITHUB_TOKEN' not in __import__('os').environ else 0"
    leaves = "__import__('os')._exit(0)"
    write(chapters / "01_small" / "numbers.py", (DOUBLE[0], secret), (HALVE[0], leaves))
    sly = "__import__('ctypes').CDLL(None)._exit(0)"
    write(chapters / "02_other" / "numbers.py", *_renamed(DOUBLE, (HALVE[0], sly)))
    first, second = little.grade("sly")["chapters"]
    assert [task["state"] for task in first["tasks"]] == ["green", "red", "not graded"]
    assert "os._exit(0) would end the whole process" in first["tasks"][1]["says"]
    assert [task["state"] for task in second["tasks"]] == ["green", "unfinished", "not graded"]
    assert "the run broke off in test_task_2_halves (exit code 0)" in second["says"]


def test_a_book_that_grades_itself_takes_the_tests_of_its_last_commit(book: Book) -> None:
    small = book.add_small()
    shutil.copytree(
        REPOSITORY / "workbook", book.root / "workbook", ignore=shutil.ignore_patterns("__pycache__")
    )
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "start"]):
        subprocess.run([*git, *command], cwd=book.root, check=True)
    write(small, DOUBLE)
    tests = small.with_name("test_small.py")
    tests.write_text(tests.read_text("utf-8").replace("assert", "assert True or"), "utf-8")
    done = book.workbook("grade", "--json")
    found = json.loads(done.stdout)
    assert found["book"].startswith("git ")
    assert [task["state"] for task in found["chapters"][0]["tasks"]] == ["green", "red", "not graded"]
    assert found["differs"] == [{"file": "chapters/01_small/test_small.py", "how": "changed"}]
    assert "graded itself" in found["notes"][0]


def test_the_screen_says_the_same_in_lines(little: Class) -> None:
    chapters = little.student("kim")
    write(chapters / "01_small" / "numbers.py", DOUBLE)
    done = little.teacher.workbook("grade", str(chapters.parent))
    assert (done.returncode, done.stderr) == (0, "01_small …\n")
    assert done.stdout == (
        """
  kim  tested by the book of files

  01 small        5 of  15
       ✗ task 2, halve a number: not written yet
  02 other        0 of  15   not begun

  all             5 of  30
"""
    )


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_ctrl_c_leaves_no_process_and_no_folder(little: Class) -> None:
    chapters = little.student("slow")
    write(chapters / "01_small" / "numbers.py", (DOUBLE[0], STUCK))
    command = [sys.executable, "-m", "workbook", "grade", str(chapters.parent)]
    running = subprocess.Popen(command, env=little.teacher.env, cwd=little.teacher.root)
    try:
        until_sync(lambda: list(little.temporary.glob("*/results")), "the grading began")
        running.send_signal(signal.SIGINT)
        assert running.wait(SECONDS) == 130
    finally:
        end(running)
    assert not list(little.temporary.iterdir())
    until_sync(lambda: not _processes_with(str(little.temporary).encode()), "every process of it is gone")


@pytest.mark.parametrize(
    ("folder", "timeout", "says"),
    [("/", 1.0, "is no copy of the book"), (str(REPOSITORY), 0.0, "above 0"), ("", float("nan"), "above 0")],
)
def test_misuse_is_a_sentence(folder: str, timeout: float, says: str) -> None:
    with pytest.raises(Misused, match=says):
        grade.grade(folder, as_json=False, stretch=False, timeout=timeout)


ANSWERS = [
    "import scheduler.job_queue",
    "from scheduler import job_queue",
    "from scheduler.worker import one_job as mine",
    "from scheduler.parts import reference",
    "import scheduler.app\nscheduler.job_queue.queue_name",
    "from scheduler import server\nserver.Parts",
    "import importlib\nimportlib.import_module('scheduler.metrics')",
    "__import__('scheduler.hub')",
]
LOOKS = [
    "import importlib",
    "exec('x = 1')",
    "eval('1')",
    "open('reference/scheduler/job_queue.py').read()",
    "from pathlib import Path\nPath('x').read_text()",
    "name = 'scheduler' + '.job_queue'\n__import__(name)",
    "import sys\nsys.modules['x']",
    "from workbook.loader import Code",
    "path = 'tests/chapters/steps'",
]
FINE = [
    '"""As in scheduler.job_queue and tests/chapters."""',
    "from scheduler.jobs import Job, insert_job\nfrom scheduler.app import App\nApp.db",
    "import logging\nlog = logging.getLogger('scheduler_jobs_submitted_total')",
    "def broken(",
]


@pytest.mark.parametrize("source", ANSWERS)
def test_an_answer_is_named(source: str) -> None:
    found = answers.find("mine.py", source.encode())
    assert "answer" in {one.kind for one in found}, found


@pytest.mark.parametrize("source", LOOKS)
def test_what_is_unusual_is_for_a_person_to_look_at(source: str) -> None:
    assert {one.kind for one in answers.find("mine.py", source.encode())} == {"look"}


@pytest.mark.parametrize("source", FINE)
def test_what_everybody_needs_is_not_named(source: str) -> None:
    assert not answers.find("mine.py", source.encode())


def test_skeletons_and_other_right_answers_are_not_accused() -> None:
    skeletons = [one.folder / file for one in book.chapters() for file in one.modules]
    for path in skeletons:
        assert not answers.find(path.name, path.read_bytes()), path


def test_a_file_that_is_no_plain_file_is_not_taken(tmp_path: Path) -> None:
    chapter = book.chapters()[0]
    folder = tmp_path / "chapters" / chapter.name
    folder.mkdir(parents=True)
    assert pristine.answer(tmp_path, chapter, "job_queue.py") == (None, "job_queue.py is missing")
    (folder / "job_queue.py").symlink_to(REFERENCE / "job_queue.py")
    assert (
        pristine.answer(tmp_path, chapter, "job_queue.py")[1]
        == "job_queue.py is a link, and only a file counts"
    )
    (folder / "submit_job.py").write_bytes(b"#" * 1_000_000)
    assert "no answer is that long" in pristine.answer(tmp_path, chapter, "submit_job.py")[1]


def test_line_endings_are_nobodys_edit(little: Class) -> None:
    chapters = little.student("windows")
    tests = chapters / "01_small" / "test_small.py"
    tests.write_bytes(tests.read_bytes().replace(b"\n", b"\r\n"))
    assert little.grade("windows")["differs"] == []


def test_the_environment_of_a_run_holds_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SSH_AUTH_SOCK", "HTTPS_PROXY", "DATABASE_URL"):
        monkeypatch.setenv(name, "secret")
    seen = isolation.environment(tmp_path)
    assert "secret" not in seen.values()
    assert seen["HOME"] == str(tmp_path)


def test_classroom_gets_a_test_for_each_task_and_a_page(right: Json) -> None:
    whole = json.loads(base64.b64decode(classroom.result(right)))
    assert (whole["max_score"], sum(test["score"] for test in whole["tests"])) == (75, 115)
    assert len(whole["tests"]) == 10
    page = classroom.page(right)
    assert "| 01_queue | 60 of 60 | 25 of 25 |" in page
    assert "| **all** | 75 of 75 | 40 of 40 |" in page
    assert "changed `chapters/01_queue/test_queue.py`" in page


def test_the_page_for_teachers_describes_every_key(right: Json) -> None:
    text = (REPOSITORY / "docs" / "teaching.md").read_text("utf-8")
    missing = [key for key in sorted(set(_keys(right))) if f"`{key}`" not in text]
    assert not missing
    for state in ("green", "red", "unfinished", "not begun", "answer", "not graded"):
        assert f"`{state}`" in text


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for below in value.values():
            yield from _keys(below)
    elif isinstance(value, list):
        for below in value:
            yield from _keys(below)


def _processes_with(text: bytes) -> list[str]:
    """Processes, besides this one, whose command line or environment has this text."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            everything = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
        except OSError:
            continue
        if text in everything and path.name != str(os.getpid()):
            found.append(everything[:200].decode("utf-8", "replace"))
    return found
