"""Looks for answers that a learner's file takes from elsewhere. It reads the text and runs nothing of the learner's.

Two kinds of finds: `answer` is certain, and the tasks of such a file get no points; `look` is only unusual, changes no
points, and is for a person to look at. Whoever wants to hide an answer can: this keeps honest people honest.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

from workbook.loader import TAUGHT

ODD_MODULES = re.compile(
    r"(importlib|runpy|inspect|gc|ctypes|subprocess|multiprocessing|pkgutil|zipimport|marshal|pickle|_?pytest"
    r"|unittest|workbook|tests)(\.|$)"
)
ODD_CALLS = re.compile(r"(exec|eval|compile|open|__import__|globals|vars)$")
ODD_ATTRIBUTES = re.compile(r"(sys\.(modules|meta_path|path)|os\.(system|popen|fork|kill|_exit|environ))$")
READS = frozenset(["read_text", "read_bytes", "getsource"])
PLACES = re.compile(
    r"reference[/\\]|tests[/\\]chapters|site-packages|\.whl\b|scheduler[./\\](?:"
    + "|".join(name.removeprefix("scheduler.").replace(".", r"[./\\]") for name in TAUGHT)
    + r")\b"
)


@dataclass(frozen=True)
class Find:
    """Something in a learner's file that should not be there, or that is unusual."""

    file: str
    line: int
    kind: str
    """`answer` or `look`."""
    says: str


def find(file: str, source: bytes) -> list[Find]:
    """What there is, by line. A file that Python can't read has nothing: its tests say so."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    names = _imported_names(tree)
    texts = _docstrings(tree)
    found = {
        Find(file, getattr(node, "lineno", 0), kind, says)
        for node in ast.walk(tree)
        if id(node) not in texts
        for kind, says in _about(node, names)
    }
    return sorted(found, key=lambda one: (one.line, one.kind, one.says))


def _about(node: ast.AST, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    match node:
        case ast.Import() | ast.ImportFrom():
            yield from _about_import(node)
        case ast.Attribute():
            yield from _about_attribute(node, names)
        case ast.Call(func=func, args=[ast.Constant(str(name)), *_]) if _last(func) in (
            "__import__",
            "import_module",
            "find_spec",
        ):
            kind = "answer" if _is_answer(name) else "look"
            yield kind, f"imports {name} at run time"
        case ast.Call(func=ast.Name(id=name)) if ODD_CALLS.match(name):
            yield "look", f"calls {name}(…)"
        case ast.Call(func=ast.Attribute(attr=name)) if name in READS:
            yield "look", f"calls {name}(…), which reads a file"
        case ast.Constant(str(text)) if match := PLACES.search(text):
            yield "look", f"names {match[0]!r}, where answers stand"


def _about_import(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    for name in _targets(node):
        if _is_answer(name):
            yield "answer", f"imports {name}"
        elif ODD_MODULES.match(name):
            yield "look", f"imports {name}, which no task needs"


def _about_attribute(node: ast.Attribute, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    dotted = _dotted(node, names)
    if ODD_ATTRIBUTES.match(dotted):
        yield "look", f"uses {dotted}"
    elif dotted and _is_answer(dotted):
        yield "answer", f"uses {dotted}"


def _is_answer(dotted: str) -> bool:
    """Whether a name leads to what a chapter teaches, directly or through another module of the scheduler."""
    if any(dotted == taught or dotted.startswith(f"{taught}.") for taught in TAUGHT):
        return True
    if not dotted.startswith("scheduler."):
        return False
    value = _resolved(dotted)
    home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return isinstance(home, str) and any(home == taught or home.startswith(f"{taught}.") for taught in TAUGHT)


def _resolved(dotted: str) -> object:
    """What a dotted name means. None if it means nothing. Imports modules of the scheduler, and no others."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: object = importlib.import_module(".".join(parts[:length]))
        except Exception:
            continue
        for name in parts[length:]:
            value = getattr(value, name, None)
        return value
    return None


def _targets(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The dotted names that an import makes reachable."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if node.level or node.module is None:
        return []
    return [f"{node.module}.{alias.name}" if alias.name != "*" else node.module for alias in node.names]


def _imported_names(tree: ast.AST) -> dict[str, str]:
    """What the names stand for that imports bind: `pb` → `scheduler.v1.scheduler_pb2`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                names[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    """`server.submit_job` as `scheduler.server.submit_job`; empty if it does not begin with an imported name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute):
        start = _dotted(node.value, names)
        return f"{start}.{node.attr}" if start else ""
    return ""


def _last(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _docstrings(tree: ast.AST) -> set[int]:
    """The constants that are text for people, by their identity."""
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
