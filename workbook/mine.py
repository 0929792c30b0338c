"""A scheduler made of the learner's own pieces: which of them are finished, and the `Parts` that they make."""

import ast
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scheduler.parts import Parts, reference

from workbook import caught_up, source, standing
from workbook.book import ROOT, Chapter, Task, chapters
from workbook.book import chapter as one_chapter
from workbook.loader import LEARNER, Code, folder_of
from workbook.standing import State

MADE_BY = {"JobQueue": "connect", "Worker": "worker", "Metrics": "build_metrics"}
"""A class is not a piece of its own: this is the piece that gives it to the server."""


@dataclass(frozen=True)
class Piece:
    """A field of `Parts` that a chapter teaches."""

    chapter: Chapter
    field: str
    file: str
    name: str
    tasks: tuple[Task, ...]
    """The tasks that it must pass to count as finished: its core ones, or all if none is core."""


def pieces() -> list[Piece]:
    """Every piece that the chapters teach, in their order."""
    return [piece for chapter in chapters() for piece in _pieces_of(chapter)]


def _pieces_of(chapter: Chapter) -> Iterable[Piece]:
    fields = Parts.__dataclass_fields__
    tasks: dict[str, list[Task]] = {}
    where: dict[str, tuple[str, str]] = {}
    for task in chapter.tasks:
        for entry in task.entry:
            name = entry.partition(".")[0]
            field = MADE_BY.get(name, "metrics_interceptor" if name == "MetricsInterceptor" else name)
            if field in fields:
                tasks.setdefault(field, []).append(task)
                piece_name = name if name in ("Worker", "MetricsInterceptor") else field
                where.setdefault(field, (task.file, piece_name))
    for field, belonging in tasks.items():
        core = tuple(task for task in belonging if not task.stretch)
        yield Piece(chapter, field, *where[field], tasks=core or tuple(belonging))


def finished(
    untestable: Callable[[Chapter], None] = lambda _: None,
    testing: Callable[[list[Chapter]], None] = lambda _: None,
) -> list[Piece]:
    """The pieces whose tests are green now.

    Runs the tests of those tasks about which the last runs say nothing, in a process of their own; calls `testing` with
    their chapters first, and `untestable` with each chapter whose tests then gave nothing. A chapter that `workbook
    catch-up` has filled gives the pieces that are green in it all the same.
    """
    states = _known()
    unknown = _unknown(states)
    if unknown:
        testing([one_chapter(name) for name in unknown])
        tested = _tested(unknown)
        for name in unknown:
            states[name] |= tested.get(name, {})
            if name not in tested:
                untestable(one_chapter(name))
    return [
        piece
        for piece in pieces()
        if all(states[piece.chapter.name].get(task.number) for task in piece.tasks)
    ]


def unfinished(own: Iterable[Piece]) -> list[Piece]:
    """The pieces that have been begun and are not among those that are finished."""
    fields = {piece.field for piece in own}
    return [piece for piece in written() if piece.field not in fields]


def _known() -> dict[str, dict[int, bool]]:
    """For each chapter: whether a task is green, of those that have been tested with what is there now."""
    return {
        one.chapter.name: {
            number: state is State.GREEN
            for number, state in one.states.items()
            if state in (State.GREEN, State.RED)
        }
        for one in standing.now().chapters
    }


def _unknown(states: dict[str, dict[int, bool]]) -> dict[str, list[Task]]:
    """For each chapter the tasks that have to be tested: a stub needs none, nor does a piece with a red task."""
    found: dict[str, list[Task]] = {}
    for piece in written():
        known = states[piece.chapter.name]
        missing = [task for task in piece.tasks if task.number not in known]
        if missing and all(known.get(task.number, True) for task in piece.tasks):
            found.setdefault(piece.chapter.name, []).extend(missing)
    return found


def _tested(these: dict[str, list[Task]]) -> dict[str, dict[int, bool]]:
    """For each of these chapters: whether each of these tasks is green."""
    wanted = " or ".join(
        f"({name} and ({' or '.join(f'task_{task.number}_' for task in tasks)}))"
        for name, tasks in these.items()
    )
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        command = [sys.executable, "-m", "pytest", *(str(one_chapter(name).folder) for name in these)]
        command += ["-k", wanted, "--stretch", "-q", "--continue-on-collection-errors"]
        command += ["--results", str(results)]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        tests = json.loads(results.read_text("utf-8")) if results.exists() else []
    states: dict[str, dict[int, bool]] = {}
    for test in tests:
        of_chapter = states.setdefault(test["chapter"], {})
        of_chapter[test["task"]] = of_chapter.get(test["task"], True) and test["passed"]
    return states


def written(implementation: str = LEARNER) -> list[Piece]:
    """The pieces that an implementation has more of than a stub, tested or not."""
    folders = {chapter.name: folder_of(chapter, implementation) for chapter in chapters()}
    return [piece for piece in pieces() if _is_written(piece, folders[piece.chapter.name])]


def parts(own: Iterable[Piece], implementation: str = LEARNER) -> Parts:
    """The reference's pieces, with these of the learner's, or of another implementation, in their places."""
    codes: dict[str, Code] = {}
    taken: dict[str, Any] = {}
    for piece in own:
        code = codes.setdefault(piece.chapter.name, Code(piece.chapter, implementation))
        taken[piece.field] = code.get(piece.file, piece.name)
    return replace(reference(), **taken)


def table(own: Iterable[Piece], whose: str = "yours", unfinished: Iterable[Piece] = ()) -> list[str]:
    """A line a chapter: which pieces are one's own, which of one's own are not green, and what the reference gives."""
    fields = {piece.field for piece in own}
    begun = {piece.field for piece in unfinished}
    filled = caught_up.names()
    lines = []
    for chapter in chapters():
        here = [piece.field for piece in pieces() if piece.chapter == chapter]
        yours = [field for field in here if field in fields]
        red = [field for field in here if field in begun]
        said = [f"{whose}: {', '.join(yours)}"] if yours else []
        said += [f"{whose}, but not green: {', '.join(red)}"] if red else []
        if not yours:
            said.append("the reference" + (" (caught up)" if chapter.name in filled else ""))
        elif len(yours) < len(here):
            said.append("the rest: the reference")
        lines.append(f"  {chapter.name:<12} {'; '.join(said)}")
    return lines


def _is_written(piece: Piece, folder: Path | None) -> bool:
    """Whether this folder has a piece, as more than a stub. One that Python can't read counts: loading it says why."""
    path = folder / piece.file if folder else None
    if path is None or not path.exists():
        return False
    try:
        tree = source.tree(path)
    except SyntaxError:
        return True  # loading it says where
    named = [node for node in ast.walk(tree) if getattr(node, "name", "") == piece.name]
    raises = [node for top in named for node in ast.walk(top) if isinstance(node, ast.Raise)]
    return bool(named) and not any("NotImplementedError" in ast.unparse(node) for node in raises)
