"""A learner's function beside another answer's: what differs, and what the other one calls that stands beside it."""

import ast
import difflib
import importlib.util
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbook import places
from workbook.book import ROOT, Chapter
from workbook.places import Definition, Module

STEPS = ROOT / "tests" / "chapters" / "steps"
NOTES = Path(__file__).parent / "notes"
MOST_NOTES = 5
MOST_HELPERS = 12


@dataclass(frozen=True)
class Answer:
    """One entry point of an answer: its source, and that of what it uses from its own file."""

    source: str
    helpers: tuple[str, ...] = ()


def own(chapter: Chapter, file: str, entry: str) -> str:
    """The learner's function; empty if it is not there. Raises `SyntaxError` and `OSError`."""
    module = places.read(chapter.folder / file)
    node = module.find(entry)
    return _code(module, node) if node else ""


def plain(chapter: Chapter, entry: str, last: int) -> Answer | None:
    """The plain right answer: the newest step up to task `last` that has this function. None if there is none."""
    for number in range(last, 0, -1):
        path = STEPS / chapter.name / f"task_{number}.py"
        if path.exists():
            module = places.read(path)
            if node := module.find(entry):
                return Answer(_code(module, node), tuple(_helpers(chapter, module, node, entry)))
    return None


def reference(chapter: Chapter, file: str, entry: str) -> Answer | None:
    """The reference's answer. None if its module is not installed, or has no such function."""
    spec = importlib.util.find_spec(chapter.modules[file])
    if spec is None or spec.origin is None:
        return None
    module = places.read(Path(spec.origin))
    node = module.find(entry)
    return Answer(_code(module, node), tuple(_helpers(chapter, module, node, entry))) if node else None


def difference(mine: str, theirs: str) -> list[str]:
    """Both as one text: a line of mine alone begins with -, of theirs alone with +, a common one with two spaces."""
    here, there = mine.splitlines(), theirs.splitlines()
    lines = []
    for kind, i, to_i, j, to_j in difflib.SequenceMatcher(None, here, there, autojunk=False).get_opcodes():
        if kind == "equal":
            lines += [f"  {line}".rstrip() for line in here[i:to_i]]
        else:
            lines += [f"- {line}".rstrip() for line in here[i:to_i]]
            lines += [f"+ {line}".rstrip() for line in there[j:to_j]]
    return lines


def notes(chapter: Chapter, entries: list[str]) -> list[str]:
    """Why the reference does more than a plain answer: at most five notes on these entry points."""
    try:
        data = tomllib.loads((NOTES / f"{chapter.name}.toml").read_text("utf-8"))
    except OSError:
        return []
    return [note["text"] for note in data["note"] if note["entry"] in entries][:MOST_NOTES]


def _code(module: Module, node: Definition) -> str:
    """The source without docstrings: the learner's says what the task is, and the comparison is about code."""
    source = module.source(node)
    lines = source.split("\n")
    dropped: set[int] = set()
    for part in ast.walk(ast.parse(source)):
        if isinstance(part, Definition) and ast.get_docstring(part) is not None and len(part.body) > 1:
            text, following = part.body[0], part.body[1]
            first = min([following.lineno, *(one.lineno for one in getattr(following, "decorator_list", []))])
            # The blank line behind it goes too; a comment stays.
            gap = range((text.end_lineno or 0) + 1, first)
            dropped |= {*range(text.lineno, (text.end_lineno or 0) + 1)}
            dropped |= {number for number in gap if not lines[number - 1].strip()}
    return "\n".join(line for number, line in enumerate(lines, 1) if number not in dropped)


def _helpers(chapter: Chapter, module: Module, node: Definition, entry: str) -> Iterator[str]:
    """What a function uses from its own file, directly or through another helper: nearest first.

    Other entry points of the chapter are not among them, for each of those has its own comparison.
    """
    others = {name.partition(".")[0] for _, name in chapter.entries()}
    top = {name: one for one in module.tree.body for name in _names_of(one) if name not in others}
    kind = module.find(entry.partition(".")[0])
    methods: dict[str, ast.stmt] = {}
    if "." in entry and isinstance(kind, ast.ClassDef):
        methods = {one.name: one for one in kind.body if isinstance(one, Definition)}
        for name in _set_in(methods.get("__init__")):
            methods.setdefault(name, methods["__init__"])
    seen: list[ast.stmt] = [node]
    if isinstance(kind, ast.ClassDef):
        seen.append(kind)
    waiting = list(seen[:1])
    while waiting and len(seen) <= MOST_HELPERS:
        for used in _used(waiting.pop(0), top, methods):
            if used not in seen:
                seen.append(used)
                waiting.append(used)
                yield module.source(used)


def _used(node: ast.AST, top: dict[str, ast.stmt], methods: dict[str, ast.stmt]) -> Iterator[ast.stmt]:
    for part in ast.walk(node):
        match part:
            case ast.Name(id=name) if name in top and name != "log":
                yield top[name]
            case ast.Attribute(value=ast.Name(id="self"), attr=name) if name in methods:
                yield methods[name]


def _names_of(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []


def _set_in(init: ast.stmt | None) -> list[str]:
    """The attributes that a constructor sets: `self.name = …`."""
    parts = ast.walk(init) if init else iter(())
    return [
        part.attr
        for part in parts
        if isinstance(part, ast.Attribute)
        and isinstance(part.ctx, ast.Store)
        and isinstance(part.value, ast.Name)
        and part.value.id == "self"
    ]
