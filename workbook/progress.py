"""The learner's progress, in `.workbook/progress.json`: what each test gave, and with which bytes.

Every run of chapter tests with the learner's code writes it, however it was started. A result counts only for the very
bytes that it was made with: see `workbook.depends`. A file that is missing or unreadable means no progress.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from workbook import files
from workbook.book import ROOT, Chapter

FOLDER = ROOT / ".workbook"
FILE = FOLDER / "progress.json"
VERSION = 1


@dataclass
class Test:
    """What one test gave when it ran last."""

    __test__ = False

    task: int
    passed: bool
    digest: str
    """Of all that it depends on, as that was before and after the run."""
    files: list[str] = field(default_factory=list)
    """Those of the learner's files that it reached."""
    sentence: str = ""


@dataclass
class ChapterRecord:
    """What is known of a chapter's tests."""

    tests: dict[str, Test] = field(default_factory=dict)
    all: dict[str, int] = field(default_factory=dict)
    """Every test that the test file has, and its task: a task is green only if none of its tests is missing."""
    all_digest: str = ""
    """Of the test file when `all` was read."""


@dataclass
class Progress:
    """All that is remembered of a learner."""

    chapters: dict[str, ChapterRecord] = field(default_factory=dict)
    at: str = ""
    """The chapter that was tested last."""
    red: int = 0
    """The first red task of that run; 0 if there was none."""
    hints: dict[str, int] = field(default_factory=dict)
    """How many hints of a task have been shown, by its address."""

    def chapter(self, name: str) -> ChapterRecord:
        """The record of a chapter, empty if nothing is known."""
        return self.chapters.setdefault(name, ChapterRecord())


def tests_digest(chapter: Chapter) -> str:
    """Of the chapter's test file alone."""
    return _digest(_tests(chapter))


def read() -> Progress:
    """What is known. Nothing, if the file is missing or is not what this version writes."""
    try:
        data = json.loads(FILE.read_bytes())
        if data["version"] != VERSION:
            return Progress()
        return Progress(
            chapters={name: _chapter(record) for name, record in data["chapters"].items()},
            at=str(data["at"]),
            red=int(data["red"]),
            hints={str(task): int(level) for task, level in data["hints"].items()},
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Progress()


def update(change: Callable[[Progress], None]) -> Progress:
    """Change what is known, and return it. Two processes may do so at once. Raises `OSError`."""
    FOLDER.mkdir(exist_ok=True)
    with files.locked(FOLDER / "lock"):
        progress = read()
        change(progress)
        data = {"version": VERSION, **asdict(progress)}
        files.write(FILE, json.dumps(data, indent=1, ensure_ascii=False).encode())
    return progress


def _chapter(record: Any) -> ChapterRecord:
    return ChapterRecord(
        tests={
            str(name): Test(
                int(test["task"]),
                test["passed"] is True,
                str(test["digest"]),
                [str(file) for file in test["files"]],
                str(test["sentence"]),
            )
            for name, test in record["tests"].items()
        },
        all={str(name): int(task) for name, task in record["all"].items()},
        all_digest=str(record["all_digest"]),
    )


def _tests(chapter: Chapter) -> list[Path]:
    return sorted(chapter.folder.glob("test_*.py"))


def _digest(paths: Iterable[Path]) -> str:
    total = sha256()
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError:
            content = b"\0missing"
        total.update(f"{path.name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()[:32]
