"""The chapters' skeletons as they were handed out, for `workbook reset`.

They come from git: the newest version of the file in which every entry point is still a stub, whatever has been
committed since. Where there is no git, from `.workbook/skeletons`, where the first test run has put a copy.
"""

import ast
import subprocess
from contextlib import suppress

from workbook import files, source
from workbook.book import ROOT, Chapter, chapters
from workbook.progress import FOLDER

COPIES = FOLDER / "skeletons"
NEWEST = 200
"""How many of a file's versions in git are looked at."""


def find(chapter: Chapter, file: str) -> tuple[bytes, str] | None:
    """A skeleton, and where it is from, in words; None if it is nowhere."""
    path = (chapter.folder / file).relative_to(ROOT).as_posix()
    for commit in _git("log", f"-{NEWEST}", "--format=%h", "--", path).decode().split():
        # `:./`, because the repository's root may lie above ours.
        text = _git("show", f"{commit}:./{path}")
        if is_skeleton(chapter, file, text):
            return text, f"git, commit {commit}"
    copy = COPIES / chapter.name / file
    with suppress(OSError):
        return copy.read_bytes(), "the copy from your first test run"
    return None


def keep() -> None:
    """Put copies of the files that are still skeletons into `.workbook`. Raises `OSError`."""
    for chapter in chapters():
        for file in chapter.modules:
            copy = COPIES / chapter.name / file
            with suppress(FileNotFoundError):
                text = (chapter.folder / file).read_bytes()
                if not (copy.exists() and copy.read_bytes() == text) and is_skeleton(chapter, file, text):
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    files.write(copy, text)


def is_skeleton(chapter: Chapter, file: str, text: bytes) -> bool:
    """Whether every entry point of the file is a stub, which does nothing but raise with its address."""
    from workbook.places import Module

    try:
        written = source.decoded(text)
        module = Module(written, ast.parse(written))
    except (SyntaxError, ValueError):
        return False
    entries = [entry for where, entry in chapter.entries() if where == file]
    return bool(entries) and all(_is_stub(module.find(entry), chapter) for entry in entries)


def _is_stub(node: ast.AST | None, chapter: Chapter) -> bool:
    if isinstance(node, ast.ClassDef):
        methods = [one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
        return any(_is_stub(method, chapter) for method in methods)
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return bool(body) and isinstance(body[0], ast.Raise) and f"{chapter.name} task" in ast.unparse(body[0])


def _git(*arguments: str) -> bytes:
    """What git answers; nothing if it fails or is not there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""
