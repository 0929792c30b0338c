"""`workbook export --students`: a copy of the book to hand out, without the answers.

What is left out: `tests`, but for the final tests of a scheduler of one's own (the folder `chapters` there holds
answers), `reference` (it comes along as a wheel), and what needs either: `deploy`, `compose.yaml`, the Makefile, the
benchmarks, the pages for those who teach and those who run it.
"""

import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from scheduler.cli.failures import Misused, Refused
from scheduler.cli.show import dim, say

from workbook import skeletons, wheel
from workbook.book import ROOT, Chapter, chapters

PACKAGE = "scheduler-reference"
VENDOR = "vendor"
WHOLE = (
    "workbook",
    "proto",
    "notebooks",
    "tests/__init__.py",
    "tests/conftest.py",
    "tests/environment.py",
    "tests/helpers.py",
    "tests/patience.py",
    "tests/prepared",
    "tests/proxies.py",
    "tests/remembered.py",
    "tests/shuffled.py",
    "tests/under_test.py",
    "tests/end_to_end",
    "tests/faults/__init__.py",
    "tests/faults/tools.py",
    "docs/settings.md",
    ".devcontainer",
    ".vscode",
    ".cursor",
    ".github/instructions",
    ".github/workflows/classroom.yml",
    ".gitignore",
    ".python-version",
    "constraints.txt",
    "LICENSE",
)
"""Copied as they are, where they exist."""
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".ipynb_checkpoints", "handout")
CHAPTER_FILES = ("README.md", "hints.md", "chapter.toml", "test_*.py")
"""Of each chapter, besides its skeletons."""
README = Path(__file__).parent / "handout" / "README.txt"
"""The students' README.md. Not called so here, for its links hold in the copy alone."""


def export(
    students: Annotated[
        str, typer.Option(metavar="FOLDER", help="Where the copy for students goes.", show_default=False)
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier copy there; its .git stays.")
    ] = False,
) -> None:
    """For teachers: make a copy to hand out, without the answers.

    The chapters come as skeletons, the reference as a wheel, and tests/chapters
    not at all.

    Example:

      workbook export --students ../handout
    """
    target = Path(students).resolve()
    _refuse_unfit(target, force)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that moving it there is a matter of renaming.
    with tempfile.TemporaryDirectory(prefix=".workbook-export-", dir=target.parent) as temporary:
        made = Path(temporary) / "copy"
        make(made)
        _move(made, target)
    say(f"{target} is a copy for students: {sum(1 for _ in _files(target))} files, none of them an answer.")
    say(dim("Try it there: python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e ."))


def make(target: Path) -> None:
    """Write the copy into a new folder. Raises `Refused` if this installation lacks what it needs."""
    if not (ROOT / "reference" / "scheduler").is_dir():
        raise Refused(
            f"{ROOT} has no reference/scheduler: it is a copy for students itself, so hand that out"
        )
    for name in WHOLE:
        _copy(ROOT / name, target / name)
    for page in sorted((ROOT / "chapters").glob("*.md")):
        _copy(page, target / "chapters" / page.name)
    for chapter in chapters():
        _copy_chapter(chapter, target / "chapters" / chapter.name)
    shutil.copyfile(README, target / "README.md")
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    made = reference_wheel(target / VENDOR, tomllib.loads(text)["project"])
    (target / "pyproject.toml").write_text(student_pyproject(text, made.name), "utf-8")


def reference_wheel(folder: Path, project: dict[str, Any]) -> Path:
    """Write the wheel of the reference into a folder, and return its path. `project` is pyproject.toml's table."""
    source = ROOT / "reference"
    files = {path.relative_to(source).as_posix(): path.read_bytes() for path in _files(source / "scheduler")}
    files["scheduler/py.typed"] = b""  # mypy reads an installed package only if it says that it may
    metadata = wheel.Metadata(
        name=PACKAGE,
        version=project["version"],
        summary="The finished scheduler of the workbook.",
        python=project["requires-python"],
        requires=tuple(project["dependencies"]),
        scripts={"scheduler": project["scripts"]["scheduler"]},
    )
    return wheel.write(folder, metadata, files)


def student_pyproject(text: str, wheel_name: str) -> str:
    """pyproject.toml for students: the reference is a package, and the tests are those of the chapters."""
    depends = f'dependencies = [\n  "{PACKAGE} @ {{root:uri}}/{VENDOR}/{wheel_name}",'
    changes = {
        r"^dependencies = \[": depends,
        r"^scheduler = .*\n": "",
        r"^dev-mode-dirs = .*": 'dev-mode-dirs = ["."]\n\n[tool.hatch.metadata]\nallow-direct-references = true',
        r"^packages = .*": 'packages = ["workbook"]',
        r"^testpaths = .*": 'testpaths = ["chapters"]',
        r"^mypy_path = .*": 'mypy_path = ["."]',
        r"^files = .*": 'files = ["workbook"]',
        r"^exclude = .*\n": "",
        r"^extend-exclude = .*\n": "",
    }
    for pattern, new in changes.items():
        text, count = re.subn(pattern, lambda _, new=new: new, text, flags=re.MULTILINE)  # type: ignore[misc]
        if count != 1:
            raise Refused(
                f"pyproject.toml has {count} lines like {pattern}, and not 1: export.py has to follow"
            )
    return text


def _copy_chapter(chapter: Chapter, target: Path) -> None:
    for pattern in CHAPTER_FILES:
        for path in sorted(chapter.folder.glob(pattern)):
            _copy(path, target / path.name)
    for file in chapter.modules:
        (target / file).write_bytes(_skeleton(chapter, file))


def _skeleton(chapter: Chapter, file: str) -> bytes:
    """The skeleton, though a teacher may have solved it here."""
    path = chapter.folder / file
    text = path.read_bytes() if path.exists() else b""
    if skeletons.is_skeleton(chapter, file, text):
        return text
    found = skeletons.find(chapter, file)
    if found is None:
        raise Refused(f"chapters/{chapter.name}/{file} is no skeleton any more, and git knows none")
    return found[0]


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=IGNORED)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _refuse_unfit(target: Path, force: bool) -> None:
    if target == ROOT or target in ROOT.parents:
        raise Misused(f"{target} holds this book itself: name a folder elsewhere")
    if ROOT in target.parents:
        raise Misused(f"{target} is within this book: name a folder outside of it")
    if target.exists() and not target.is_dir():
        raise Misused(f"{target} is a file")
    there = _contents(target)
    if there and not force:
        raise Misused(f"{target} is not empty; --force replaces an earlier copy")
    if there and not _is_a_copy(target):
        raise Misused(f"{target} is not empty, and no earlier copy for students: empty it yourself")


def _is_a_copy(folder: Path) -> bool:
    return (folder / "chapters").is_dir() and any(
        (folder / VENDOR).glob(f"{PACKAGE.replace('-', '_')}-*.whl")
    )


def _contents(folder: Path) -> list[Path]:
    """What lies in a folder, git's own folder aside."""
    return [path for path in folder.iterdir() if path.name != ".git"] if folder.is_dir() else []


def _move(made: Path, target: Path) -> None:
    """Put the copy in its place. What was there before goes away, but git's folder."""
    target.mkdir(exist_ok=True)
    for path in _contents(target):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for path in made.iterdir():
        os.replace(path, target / path.name)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and ".git" not in path.parts:
            yield path
