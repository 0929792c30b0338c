"""`workbook grade`: points by chapter and task, from a clean copy of the tests.

A green task gives as many points as it takes minutes; a stretch task gives them as a bonus. docs/teaching.md describes
the JSON and says what a grade can't see.
"""

import json
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer
from scheduler.cli.failures import Misused, Refused, expected
from scheduler.cli.show import bold, dim, note, say

from workbook.book import ROOT, Chapter, Task, read

if TYPE_CHECKING:
    from workbook.answers import Find
    from workbook.pristine import Difference, Pristine

SCHEMA = 1
TIMEOUT = 180.0
TEST_SECONDS = 20.0
"""No test of the book takes two; on a slow machine some take five."""

GREEN = "green"
RED = "red"
UNFINISHED = "unfinished"
"""Its tests, or some of them, did not come to an end."""
NOT_BEGUN = "not begun"
"""All files of the chapter are the skeletons still."""
ANSWER = "answer"
"""Its file takes the answer from elsewhere."""
NOT_GRADED = "not graded"
"""A stretch task, without --stretch."""


@dataclass
class TaskGrade:
    """What a task is worth, and why."""

    task: Task
    state: str
    tests: int = 0
    passed: int = 0
    says: str = ""

    @property
    def points(self) -> int:
        return self.task.minutes if self.state == GREEN else 0

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.task.number,
            "name": self.task.name,
            "file": self.task.file,
            "stretch": self.task.stretch,
            "state": self.state,
            "points": self.points,
            "of": self.task.minutes,
            "tests": self.tests,
            "passed": self.passed,
            "says": self.says,
        }


@dataclass
class ChapterGrade:
    """The tasks of a chapter. `says` is what is wrong with the chapter as a whole; mostly nothing."""

    chapter: Chapter
    tasks: list[TaskGrade]
    says: str = ""
    seconds: float = 0.0

    def sums(self, stretch: bool) -> tuple[int, int]:
        """Points, and how many there could be, of the core tasks or of the stretch tasks."""
        some = [one for one in self.tasks if one.task.stretch == stretch]
        return sum(one.points for one in some), sum(one.task.minutes for one in some)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.chapter.name,
            "title": self.chapter.title,
            **_sums_as_json([self]),
            "seconds": round(self.seconds, 1),
            "says": self.says,
            "tasks": [one.as_json() for one in self.tasks],
        }


@dataclass
class Grade:
    """All of it."""

    folder: Path
    source: str
    stretch: bool
    chapters: list[ChapterGrade] = field(default_factory=list)
    finds: list[tuple[Chapter, "Find"]] = field(default_factory=list)
    differs: list["Difference"] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "folder": str(self.folder),
            "book": self.source,
            "stretch": self.stretch,
            **_sums_as_json(self.chapters),
            "chapters": [one.as_json() for one in self.chapters],
            "differs": [{"file": one.file, "how": one.how} for one in self.differs],
            "finds": [
                {
                    "file": f"chapters/{chapter.name}/{one.file}",
                    "line": one.line,
                    "kind": one.kind,
                    "says": one.says,
                }
                for chapter, one in self.finds
            ],
            "notes": self.notes,
        }


def grade(
    folder: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER", help="Somebody's copy of the book; this one if left out.", show_default=False
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON: see docs/teaching.md.")] = False,
    stretch: Annotated[bool, typer.Option("--stretch", help="The stretch tasks too, as a bonus.")] = False,
    timeout: Annotated[
        float, typer.Option(metavar="S", help="Seconds for each chapter, after which it is ended.")
    ] = TIMEOUT,
) -> None:
    """For teachers: give points by chapter and task.

    Takes the learner's files alone, into a clean copy of this book, so that
    edited tests are named and have no effect. A task that is green gives as
    many points as it takes minutes.

    Examples:

      workbook grade ../kim --json

      workbook grade --stretch
    """
    if not timeout > 0:
        raise Misused("--timeout is a number of seconds above 0")
    place = Path(folder).resolve() if folder else ROOT
    if not (place / "chapters").is_dir():
        raise Misused(f"{place} is no copy of the book: it has no folder chapters")
    done = graded(place, stretch, timeout)
    if as_json:
        say(json.dumps(done.as_json(), indent=1, ensure_ascii=not _is_utf8()))
    else:
        for line in _lines(done):
            say(line)


def graded(folder: Path, stretch: bool, timeout: float) -> Grade:
    """Grade a folder. Starts services for as long as that takes. Raises `Refused` if they, or the book, are missing."""
    from workbook import pristine

    book = pristine.read()
    with tempfile.TemporaryDirectory(prefix="workbook-grade-") as temporary:
        book.unpack(Path(temporary))
        chapters = [read(path) for path in sorted(Path(temporary).glob("chapters/[0-9][0-9]_*/chapter.toml"))]
    if not chapters:
        raise Refused(f"there are no chapters in {ROOT}: is this copy of the book complete?")
    done = Grade(folder, book.source, stretch)
    if folder == ROOT:
        done.notes.append(
            "this copy of the book graded itself, so edits of its tests that were committed can't be seen"
            if book.source.startswith("git")
            else "this copy of the book graded itself without git, so edits of its tests can't be seen"
        )
    done.differs = pristine.differences(book, chapters, folder)
    grader = _Grader(book, done, stretch, timeout)
    with grader:
        for chapter in chapters:
            done.chapters.append(grader.chapter(chapter))
    return done


class _Grader:
    """Grades chapter after chapter. Services are started once, when the first chapter needs them."""

    def __init__(self, book: "Pristine", done: Grade, stretch: bool, timeout: float) -> None:
        self._book = book
        self._done = done
        self._stretch = stretch
        self._timeout = timeout
        self._stack = ExitStack()
        self._services: dict[str, str] = {}

    def __enter__(self) -> "_Grader":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def chapter(self, chapter: Chapter) -> ChapterGrade:
        from workbook import answers, pristine

        if not (self._done.folder / "chapters" / chapter.name).exists():
            nothing = [self._task(task, NOT_BEGUN) for task in chapter.tasks]
            return ChapterGrade(chapter, nothing, "this copy does not have it")
        files: dict[str, bytes] = {}
        wrong: list[str] = []
        for file in chapter.modules:
            content, why = pristine.answer(self._done.folder, chapter, file)
            if content is not None:
                files[file] = content
            else:
                wrong.append(why)
        finds = [one for file, content in files.items() for one in answers.find(file, content)]
        self._done.finds += [(chapter, one) for one in finds]
        if self._is_untouched(chapter, files):
            result = ChapterGrade(chapter, [self._task(task, NOT_BEGUN) for task in chapter.tasks])
        else:
            note(f"{chapter.name} …")
            result = self._run(chapter, files)
        _refuse_answers(result, {one.file: one for one in reversed(finds) if one.kind == "answer"})
        result.says = "; ".join([*wrong, *([result.says] if result.says else [])])
        return result

    def _is_untouched(self, chapter: Chapter, files: dict[str, bytes]) -> bool:
        from workbook.skeletons import is_skeleton

        return all(
            content == self._book.files.get(f"chapters/{chapter.name}/{file}")
            and is_skeleton(chapter, file, content)
            for file, content in files.items()
        )

    def _task(self, task: Task, state: str, **more: Any) -> TaskGrade:
        return TaskGrade(task, NOT_GRADED if task.stretch and not self._stretch else state, **more)

    def _run(self, chapter: Chapter, files: dict[str, bytes]) -> ChapterGrade:
        """Run the chapter's tests on these files, in a clean copy that nobody has touched before."""
        from workbook import isolation

        services = self._started()
        with tempfile.TemporaryDirectory(prefix="workbook-grade-", ignore_cleanup_errors=True) as temporary:
            book, home = Path(temporary, "book"), Path(temporary, "home")
            home.mkdir()
            self._book.unpack(book)
            for file in chapter.modules:
                (book / "chapters" / chapter.name / file).unlink(missing_ok=True)
            for file, content in files.items():
                (book / "chapters" / chapter.name / file).write_bytes(content)
            results = Path(temporary, "results")
            begun = time.monotonic()
            ended = isolation.run(
                self._command(chapter, results), book, home, self._timeout, services | _paths(book), results
            )
            events = _events(results)
        if not any(one.get("collected") for one in events):
            # Nothing of the learner's is loaded before this, so it is not the learner who should pay for it.
            why = (
                _last_line(ended.output) if ended.code is not None else f"not ready after {self._timeout:g} s"
            )
            raise Refused(f"the tests of {chapter.name} could not begin: {why}")
        grade = ChapterGrade(chapter, self._tasks(chapter, events), seconds=time.monotonic() - begun)
        grade.says = _what_went_wrong(ended, events, self._timeout)
        return grade

    def _command(self, chapter: Chapter, results: Path) -> list[str]:
        command = [sys.executable, "-m", "workbook.graded_run", chapter.name, str(results)]
        command += ["--test-seconds", f"{min(TEST_SECONDS, self._timeout / 2):g}"]
        command += ["--cpu-seconds", str(int(2 * self._timeout) + 10)]
        return command + ["--stretch"] * self._stretch

    def _tasks(self, chapter: Chapter, events: list[dict[str, Any]]) -> list[TaskGrade]:
        tests: dict[str, int] = next((one["collected"] for one in events if "collected" in one), {})
        finished = {one["finished"]: one for one in events if "finished" in one}
        grades = []
        for task in chapter.tasks:
            names = [name for name, number in tests.items() if number == task.number]
            results = [finished[name] for name in names if name in finished]
            passed = sum(one["passed"] for one in results)
            state = GREEN if names and passed == len(names) else RED
            if state is RED and len(results) == passed:
                state = UNFINISHED
            says = next((one["says"] for one in results if not one["passed"]), "")
            grades.append(self._task(task, state, tests=len(names), passed=passed, says=says))
        return grades

    def _started(self) -> dict[str, str]:
        """The variables that lead tests to the services; started if they are not yet."""
        if not self._services:
            from workbook.sandbox import servers

            with expected():
                services = self._stack.enter_context(servers()).services
            password = quote(services.redis_password, safe="")
            self._services = {
                "TEST_DATABASE_URL": services.database_url,
                "TEST_REDIS_URL": f"redis://:{password}@{services.redis_host}:{services.redis_port}",
            }
        return self._services


def _paths(book: Path) -> dict[str, str]:
    """Let Python find the clean copy's modules, and not this installation's."""
    import os

    places = [str(path) for path in (book, book / "reference") if path.is_dir()]
    return {"PYTHONPATH": os.pathsep.join(places), "WORKBOOK_ROOT": str(book)}


def _events(results: Path) -> list[dict[str, Any]]:
    """What the run has written down, as far as it came."""
    if not results.exists():
        return []
    events = []
    for line in results.read_text("utf-8", "replace").splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            break  # a line that was cut off by the end of the run
    return events


def _what_went_wrong(ended: Any, events: list[dict[str, Any]], timeout: float) -> str:
    """Empty if the run came to its end."""
    started = [one["started"] for one in events if "started" in one]
    finished = {one["finished"] for one in events if "finished" in one}
    tests: dict[str, int] = next((one["collected"] for one in events if "collected" in one), {})
    hanging = [name.partition("::")[2] for name in started if name not in finished]
    where = f" in {hanging[0]}" if hanging else ""
    if ended.code is None:
        return f"ended after {timeout:g} s{where}: what had not finished gives no points"
    if ended.code not in (0, 1) or not finished >= set(tests):
        return f"the run broke off{where} (exit code {ended.code}): what had not finished gives no points"
    return ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "they said nothing"


def _refuse_answers(grade: ChapterGrade, finds: dict[str, "Find"]) -> None:
    """Take the points of tasks whose file takes the answer from elsewhere."""
    for one in grade.tasks:
        if one.state != NOT_GRADED and (found := finds.get(one.task.file)):
            one.state = ANSWER
            one.says = f"{found.file}, line {found.line}, {found.says}: that is the answer"


def _sums_as_json(chapters: list[ChapterGrade]) -> dict[str, int]:
    core = [one.sums(stretch=False) for one in chapters]
    bonus = [one.sums(stretch=True) for one in chapters]
    return {
        "points": sum(points for points, _ in core),
        "of": sum(of for _, of in core),
        "bonus": sum(points for points, _ in bonus),
        "bonus_of": sum(of for _, of in bonus),
    }


def _lines(done: Grade) -> Iterator[str]:
    yield ""
    yield bold(f"  {done.folder.name}") + dim(f"  tested by the book of {done.source}")
    yield ""
    for one in done.chapters:
        yield from _chapter_lines(one, done.stretch)
    yield ""
    yield bold(_row("all", _sums_as_json(done.chapters), done.stretch))
    for title, lines in _remarks(done):
        if lines:
            yield ""
            yield f"  {title}"
            yield from (f"    {line}" for line in lines)


def _chapter_lines(one: ChapterGrade, stretch: bool) -> Iterator[str]:
    begun = any(task.state not in (NOT_BEGUN, NOT_GRADED) for task in one.tasks)
    label = f"{one.chapter.number} {one.chapter.name.partition('_')[2]}"
    yield _row(label, _sums_as_json([one]), stretch) + ("" if begun else dim("   not begun"))
    if one.says:
        yield from _wrapped(one.says, "       ")
    missing = [task for task in one.tasks if task.state in (RED, UNFINISHED, ANSWER)]
    for says, group in groupby(missing, key=_why):
        yield from _wrapped(f"✗ {_names(list(group))}: {says}", "       ")


def _why(one: TaskGrade) -> str:
    return one.says or ("its tests did not come to an end" if one.state == UNFINISHED else "red")


def _names(tasks: list[TaskGrade]) -> str:
    if len(tasks) == 1:
        return f"task {tasks[0].task.number}, {tasks[0].task.name}"
    return f"tasks {', '.join(str(one.task.number) for one in tasks)}"


def _wrapped(text: str, indent: str) -> list[str]:
    from workbook.screen import width

    return textwrap.wrap(text, width(), initial_indent=indent, subsequent_indent=indent + "  ")


def _row(label: str, sums: dict[str, int], stretch: bool) -> str:
    text = f"  {label:<12} {sums['points']:>4} of {sums['of']:>3}"
    return text + (f"   bonus {sums['bonus']:>3} of {sums['bonus_of']:>3}" if stretch else "")


def _remarks(done: Grade) -> Iterator[tuple[str, list[str]]]:
    finds = {
        kind: [
            f"{chapter.name}/{one.file}:{one.line} {one.says}"
            for chapter, one in done.finds
            if one.kind == kind
        ]
        for kind in ("answer", "look")
    }
    yield "Answers from elsewhere, which gave no points:", finds["answer"]
    yield "Unusual, and worth a look. It changed no points:", finds["look"]
    yield (
        "Not as in the book. It had no effect:",
        [f"{one.how:<8} {one.file}" for one in done.differs],
    )
    yield "Note:", done.notes


def _is_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
