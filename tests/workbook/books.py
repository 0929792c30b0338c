"""A small book in a folder of its own, and the ways in which a learner reaches it."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import cast
from unittest import mock

from tests import prepared
from tests.patience import SECONDS

REPOSITORY = Path(__file__).parents[2]

TOML = """
title = "Small numbers"

[modules]
"numbers.py" = "scheduler.worker.retries"

[[task]]
name = "double a number"
file = "numbers.py"
entry = ["double"]
minutes = 5

[[task]]
name = "halve a number"
file = "numbers.py"
entry = ["halve"]
minutes = 10

[[task]]
name = "halve without a rest"
file = "numbers.py"
entry = ["halve"]
minutes = 15
stretch = true
"""
SKELETON = '''"""Small numbers."""


def double(number: int) -> int:
    """Task 1: twice the number."""
    raise NotImplementedError("01_small task 1: double a number")


def halve(number: int) -> float:
    """Task 2: half of it."""
    raise NotImplementedError("01_small task 2: halve a number")
'''
TESTS = """
import pytest


@pytest.mark.parametrize("number", [1, 2, 3])
def test_task_1_doubles(code, number):
    assert code.double(number) == 2 * number, f"double({number}): expected {2 * number}"


def test_task_1_doubles_zero(code):
    assert code.double(0) == 0


def test_task_2_halves(code):
    assert code.halve(4) == 2, "halve(4): expected 2"


def test_task_3_leaves_no_rest(code):
    assert code.halve(5) == 2, "halve(5): expected 2"
"""
HINTS = """
# Hints

## Task 1 · double a number

<details><summary>1 · a question</summary>

What is twice?
</details>
<details><summary>2 · an approach</summary>

Multiply. A long line of a hint is broken where the terminal ends, so that it can be read at eighty columns too:

- `number` once
- `number` twice
</details>
<details><summary>3 · the shape</summary>

```python
return … * …
```
</details>

## Task 2 · halve a number

<details><summary>1 · a question</summary>

What is half?
</details>
<details><summary>2 · an approach</summary>

Divide.
</details>
<details><summary>3 · the shape</summary>

One line.
</details>
"""
DOUBLE = ('raise NotImplementedError("01_small task 1: double a number")', "return 2 * number")
HALVE = ('raise NotImplementedError("01_small task 2: halve a number")', "return number / 2")


class Book:
    """A copy of the repository, as far as a learner needs it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = {
            **{
                name: value
                for name, value in os.environ.items()
                if name not in ("FORCE_COLOR", "PYTEST_ADDOPTS")
            },
            "WORKBOOK_ROOT": str(root),
            "SCHEDULER_DATA": str(REPOSITORY / ".data"),
            "NO_COLOR": "1",
            "PYTEST_ADDOPTS": "-pno:anyio -pno:valkey -pno:platformdirs",
            "COLUMNS": "80",
            "LINES": "24",
        }
        shutil.copy(REPOSITORY / "pyproject.toml", root)

    @property
    def progress(self) -> Path:
        return self.root / ".workbook" / "progress.json"

    def add_small(self, name: str = "01_small") -> Path:
        """A chapter of three tasks that need no services. Returns its skeleton file."""
        folder = self.root / "chapters" / name
        folder.mkdir(parents=True)
        for file, text in (
            ("chapter.toml", TOML),
            ("numbers.py", SKELETON),
            ("test_small.py", TESTS),
            ("hints.md", HINTS),
        ):
            (folder / file).write_text(text.replace("01_small", name), "utf-8")
        return folder / "numbers.py"

    def add_real(self, name: str = "01_queue") -> Path:
        """One of the book's own chapters, with its steps. Returns its folder."""
        for folder in (f"chapters/{name}", f"tests/chapters/steps/{name}"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / folder, self.root / folder, ignore=ignored)
        return self.root / "chapters" / name

    def python(self, *arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
        """Run Python with these arguments in the book's folder."""
        everything: dict[str, object] = {
            "cwd": self.root,
            "env": self.env,
            "stdin": subprocess.DEVNULL,
            "capture_output": True,
            "encoding": "utf-8",
            "timeout": SECONDS,
            **options,
        }
        command = prepared.python(cast("dict[str, str]", everything["env"]), *arguments)
        return subprocess.run(command, **everything)  # type: ignore[call-overload, no-any-return]

    def process(self, *arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
        """Run `workbook …`."""
        return self.python("-m", "workbook", *arguments, **options)

    def workbook(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `workbook …` within this process, which is faster: for commands that run no test."""
        out, err, code = io.StringIO(), io.StringIO(), 0
        with fresh_workbook(self), redirect_stdout(out), redirect_stderr(err):
            from workbook.cli import main

            sys.argv = ["workbook", *arguments]
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
        return subprocess.CompletedProcess(sys.argv, code, out.getvalue(), err.getvalue())

    def pytest(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run tests as anybody does who does not know `workbook`."""
        return self.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)

    def screen(self, *arguments: str) -> list[str]:
        """What `workbook` writes, without empty lines."""
        done = self.workbook(*arguments)
        return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]

    def bar(self) -> str:
        """The cells of the first chapter."""
        return self.screen()[0].split("  ")[2]


def write(path: Path, *changes: tuple[str, str]) -> None:
    """Replace pieces of a file's text, each of which must be there."""
    text = path.read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, "utf-8")


@contextmanager
def fresh_workbook(book: Book) -> Iterator[None]:
    """While the block runs, `workbook` is imported anew, and finds this book instead of ours."""
    ours = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "workbook"}
    for name in ours:
        del sys.modules[name]
    try:
        with (
            mock.patch.dict(os.environ, book.env, clear=True),
            mock.patch.object(sys, "argv", sys.argv),
        ):
            yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "workbook"]:
            del sys.modules[name]
        sys.modules.update(ours)
