"""Where an entry point stands in a file, and its source. Read from the text: nothing is run."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbook import source
from workbook.book import ROOT, Task, chapter

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Module:
    """A file's text, and what it defines."""

    text: str
    tree: ast.Module

    def find(self, entry: str) -> Definition | None:
        """The definition of `push`, or of `JobQueue.push`; None if there is none."""
        scope: ast.AST = self.tree
        for name in entry.split("."):
            found = [node for node in _definitions(scope) if node.name == name]
            if not found:
                return None
            scope = found[-1]  # as in Python, the last one counts
        assert isinstance(scope, Definition)
        return scope

    def source(self, node: ast.stmt) -> str:
        """The text of a definition or a statement, with its decorators, moved to the left margin."""
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(one.lineno for one in decorators)])
        lines = self.text.split("\n")[first - 1 : node.end_lineno]  # a form feed ends no line of Python's
        return "\n".join(line[node.col_offset :] for line in lines)


def read(path: Path) -> Module:
    """Raises `OSError`, and `SyntaxError` if Python can't read it."""
    text = source.text(path)
    return Module(text, ast.parse(text, str(path)))


def of_task(task: Task) -> str:
    """Where a task's code goes: `chapters/01_queue/job_queue.py:18`; the file alone if its function is not there."""
    path = chapter(task.chapter).folder / task.file
    try:
        node = read(path).find(task.entry[0])
        line = node.lineno if node else None
    except SyntaxError as error:
        line = error.lineno
    except (OSError, ValueError):
        line = None
    return short(path) + (f":{line}" if line else "")


def short(path: Path) -> str:
    """The path as seen from the repository's root, where it is within."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def _definitions(scope: ast.AST) -> Iterator[Definition]:
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, Definition):
            yield node
