"""What a proof depends on, so that one whose inputs have not changed need not be repeated.

Each proof depends on
    the chapter's folder, and the answers that it runs,
    the chapter's own modules of the reference,
    the harness: `tests/chapters`, the plugins of pytest, and all data files of `workbook/` and the reference,
    those other pieces of the reference that were called while it ran,
    and what all these import of `tests/`, `workbook/` and the reference, wherever in the file the import stands.

It is right because a piece is reached in two ways: by an import, which is read off the text here, or through `Parts`,
"the server and the worker reach each piece through here alone", whose functions and classes note here that they were
called. Whatever can't be seen so, as an
answer outside the repository, makes a proof one that is always repeated.
"""

import ast
import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from scheduler.parts import Parts, reference

from workbook import world
from workbook.book import ROOT, Chapter, chapter
from workbook.loader import LEARNER, REFERENCE

HARNESS = (
    "pyproject.toml",
    "constraints.txt",
    "workbook/plugin.py",
    "tests/*.py",
    "tests/prepared/*.py",
    "tests/chapters/*.py",
    "reference/scheduler/embedded/*.py",
)
"""What is loaded or run by its name, and so by nobody's import."""
PACKAGES = {"scheduler": ROOT / "reference", "workbook": ROOT, "tests": ROOT}


@dataclass
class Depends:
    """What one proof has used besides the harness."""

    chapters: set[str] = field(default_factory=set)
    answers: set[str] = field(default_factory=set)
    """Files, by their paths within the repository."""
    pieces: set[str] = field(default_factory=set)
    """Modules of the reference whose functions were called through `Parts`."""
    is_known: bool = True

    def as_lists(self) -> dict[str, list[str]]:
        return {name: sorted(getattr(self, name)) for name in ("chapters", "answers", "pieces")}


_now = Depends()
_called: dict[str, set[str]] = {}
"""The pieces that were called by any run of a chapter's tests in this process."""


@contextmanager
def noting() -> Iterator[Depends]:
    """What the block uses."""
    global _now
    before, _now = _now, Depends()
    try:
        yield _now
    finally:
        _now = before


@contextmanager
def run_of(one: Chapter, implementation: str) -> Iterator[None]:
    """Within the block, tests of the chapter run this implementation: note it, and the pieces that they call."""
    _now.chapters.add(one.name)
    for layer in implementation.split("+"):
        if layer.endswith(".py") and Path(layer).is_relative_to(ROOT):
            _now.answers.add(Path(layer).relative_to(ROOT).as_posix())
        elif layer not in (LEARNER, REFERENCE):
            _now.is_known = False
    with patch.object(world, "reference", _noted_reference):
        yield
    # What the reference shows for a judge's inputs is played once a session, and then known to all that follow.
    _now.pieces |= _called.setdefault(one.name, set())
    _called[one.name] |= _now.pieces


def _noted_reference() -> Parts:
    parts = reference()
    pieces = {one.name: getattr(parts, one.name) for one in fields(parts)}
    return replace(parts, **{name: _noted(piece) for name, piece in pieces.items()})


def _noted(piece: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(piece, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        _now.pieces.add(piece.__module__)
        return piece(*args, **kwargs)

    return call


def files(chapters: Iterable[str], answers: Iterable[str], pieces: Iterable[str]) -> frozenset[Path]:
    """All files that a proof which used these depends on. Raises `KeyError` or `OSError` if one of them is gone."""
    own = frozenset(ROOT / name for name in answers)
    return _shared(tuple(chapters), tuple(pieces)) | _closure(own)


@functools.cache
def _shared(chapters: tuple[str, ...], pieces: tuple[str, ...]) -> frozenset[Path]:
    modules = set(pieces)
    found = set(_harness())
    for one in map(chapter, chapters):
        found |= {path for path in one.folder.rglob("*") if _is_source(path)}
        modules |= set(one.modules.values())
    return _closure(frozenset(found | _places(modules)))


@functools.cache
def _harness() -> frozenset[Path]:
    named = {path for pattern in HARNESS for path in ROOT.glob(pattern) if _is_source(path)}
    data = {
        path
        for folder in (ROOT / "workbook", ROOT / "reference")
        for path in folder.rglob("*")
        if _is_source(path) and path.suffix != ".py"
    }
    return frozenset(named | data)


def _closure(paths: frozenset[Path]) -> frozenset[Path]:
    """These, the files of the repository that they import, and what those import."""
    found: set[Path] = set()
    coming = set(paths)
    while coming:
        found |= coming
        sources = [path for path in coming if path.suffix == ".py"]
        coming = {path for source in sources for path in _imported(source)} - found
    return frozenset(found)


@functools.cache
def _imported(path: Path) -> frozenset[Path]:
    """The files of the repository that one file imports, wherever in it."""
    tree = ast.parse(path.read_text("utf-8"))
    found: set[str] = set()
    for node in _nodes(tree):
        match node:
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str(module), level=0):
                found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return _places(found)


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes, but neither what is for types alone nor the list of the pieces, whose use is noted."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.FunctionDef) and node.name == "reference":
            continue
        yield node
        yield from _nodes(node)


def _places(modules: Iterable[str]) -> frozenset[Path]:
    """The files of those that belong to the repository, and of the packages that they lie in."""
    names = {".".join(name.split(".")[:end]) for name in modules for end in range(1, name.count(".") + 2)}
    split = [name.split(".") for name in names]
    places = [PACKAGES[parts[0]].joinpath(*parts) for parts in split if parts[0] in PACKAGES]
    candidates = [path for place in places for path in (place.with_suffix(".py"), place / "__init__.py")]
    return frozenset(path for path in candidates if path.exists())


def _is_source(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts
