"""Which tests a step can change, so that those that it can't are not run again.

The steps of a chapter lie in layers: task_3.py over task_2.py over task_1.py over the skeletons. A test of task
K reaches the code under test by `reach(K)`, the names of the entry points of tasks up to K and of what the
skeletons give, and by no others: the runner refuses a test that asks for more. A name comes from the uppermost
layer that binds it. So with one layer more a test finds the very same functions as before, unless the new layer
binds a name that it can reach; and it was run when the last layer that does was the uppermost. At the latest
that is layer K, which must bind an entry point of task K.

This holds because a step does nothing but bind names that can be read off its text: `names` refuses any other.
"""

import ast
from functools import cache
from pathlib import Path

from workbook import book
from workbook.book import Chapter
from workbook.places import Definition


def reach(chapter: Chapter, last: int) -> set[str]:
    """The names by which a test of task `last` may reach the code under test."""
    return _heads(chapter, last) | (_given(chapter.name) - _heads(chapter, len(chapter.tasks)))


def _heads(chapter: Chapter, last: int) -> set[str]:
    """Of the entry points of the tasks up to `last`: `JobQueue` for `JobQueue.push`."""
    return {entry.partition(".")[0] for _, entry in chapter.entries(last)}


@cache
def _given(name: str) -> set[str]:
    """The functions and classes of the skeletons."""
    chapter = book.chapter(name)
    trees = [ast.parse((chapter.folder / file).read_text("utf-8")) for file in chapter.modules]
    return {node.name for tree in trees for node in tree.body if isinstance(node, Definition)}


def can_change(chapter: Chapter, step: Path) -> set[int]:
    """The tasks, up to the step's own, whose tests may give something else with this layer than without it."""
    number = int(step.stem.removeprefix("task_"))
    bound = names(step)
    own = {entry.partition(".")[0] for entry in chapter.task(number).entry}
    assert bound & own, f"{step.name} has no {' and no '.join(sorted(own))}, which its task asks for"
    return {
        task.number for task in chapter.tasks if task.number <= number and bound & reach(chapter, task.number)
    }


def names(step: Path) -> set[str]:
    """What a step binds. Fails if it does more than import, define and assign."""
    found: set[str] = set()
    for node in ast.parse(step.read_text("utf-8")).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.Import() | ast.ImportFrom():
                found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
            case ast.Assign() | ast.AnnAssign():
                found |= {
                    part.id for part in ast.walk(node) if isinstance(part, ast.Name) and _is_bound(part)
                }
            case ast.Expr(value=ast.Constant()):
                pass
            case _:
                raise AssertionError(
                    f"{step.name}:{node.lineno} does more than bind a name: {ast.unparse(node)}"
                )
    unclear = found & {"*", "__getattr__"}
    assert not unclear, f"{step.name}: what it binds can't be read off its text: {unclear}"
    return found


def _is_bound(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)
