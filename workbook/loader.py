"""Finds the code under test: the learner's, the reference's, or another answer's.

An implementation is one of
    learner      the files in the chapter's own folder, and nothing else
    reference    the modules of `scheduler`
    a folder     files of the same names as the chapter's; what it lacks comes from the reference
    a file       one .py file whose names replace the reference's
"""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from workbook.book import ROOT, Chapter

LEARNER = "learner"
REFERENCE = "reference"

TAUGHT = (
    "scheduler.job_queue",
    "scheduler.api",
    "scheduler.worker.one_job",
    "scheduler.worker.retries",
    "scheduler.worker.leases",
    "scheduler.worker.worker",
    "scheduler.metrics",
    "scheduler.interceptors",
    "scheduler.hub",
    "scheduler.parts",
)
"""Modules of the reference that are answers. A learner's file may not import them."""


class LoadError(Exception):
    """The code can't be used. The message is a sentence for the learner."""


class Code:
    """The entry points of one chapter, from one implementation, as attributes. A missing one raises `LoadError`."""

    def __init__(self, chapter: Chapter, implementation: str = LEARNER) -> None:
        self._chapter = chapter
        self._implementation = implementation
        self._modules: dict[str, list[ModuleType]] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        for file in self._chapter.modules:
            for module in self._layers(file):
                if hasattr(module, name):
                    return getattr(module, name)
        raise LoadError(f"{self._where()} has no `{name}`; the tests call it, so keep its name")

    def get(self, file: str, entry: str) -> Any:
        """What `entry` (`push`, or `JobQueue.push`) is in `file`. Raises `LoadError` if it isn't there."""
        name = entry.partition(".")[0]
        for module in self._layers(file):
            if hasattr(module, name):
                return getattr(module, name)
        raise LoadError(f"{self._where()}/{file} has no `{name}`; the tests call it, so keep its name")

    @property
    def files(self) -> set[str]:
        """The files that belong to this implementation, as absolute paths: frames in them are the learner's lines."""
        return {
            str(module.__file__)
            for layers in self._modules.values()
            for module in layers
            if not str(module.__name__).startswith("scheduler.")
        }

    def _where(self) -> str:
        if self._implementation == LEARNER:
            return f"chapters/{self._chapter.name}"
        return self._implementation

    def _layers(self, file: str) -> list[ModuleType]:
        if file not in self._modules:
            self._modules[file] = self._load(file)
        return self._modules[file]

    def _load(self, file: str) -> list[ModuleType]:
        if self._implementation == LEARNER:
            path = self._chapter.folder / file
            refuse_answers(path)
            return [load_file(path, f"chapter_{self._chapter.name}")]
        reference = importlib.import_module(self._chapter.modules[file])
        if self._implementation == REFERENCE:
            return [reference]
        given = Path(self._implementation)
        path = given / file if given.is_dir() else given
        if not path.exists():
            return [reference]
        return [load_file(path, f"answer_{path.parent.name}_{path.stem}"), reference]


def load_file(path: Path, prefix: str) -> ModuleType:
    """Run a file as a module of its own, anew each time. Raises `LoadError` if it does not even run."""
    name = f"{prefix}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.exists():
        raise LoadError(f"{_short(path)} is missing; `git checkout {_short(path)}` brings it back")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up by its name
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise LoadError(
            f"{_short(path)}, line {error.lineno}: Python can't read this ({error.msg})"
        ) from error
    except ImportError as error:
        raise LoadError(f"{_short(path)} imports something that isn't there: {error}") from error
    return module


def refuse_answers(path: Path) -> None:
    """Raise `LoadError` if a learner's file imports what a chapter teaches."""
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except (SyntaxError, OSError):
        return  # running the file will say so, with its line
    for node in ast.walk(tree):
        for name in _imported(node):
            if any(name == taught or name.startswith(taught + ".") for taught in TAUGHT):
                raise LoadError(
                    f"{_short(path)}, line {getattr(node, 'lineno', 0)} imports {name}. That is the answer: "
                    f"write your own, and reach other pieces through app.parts"
                )


def _imported(node: ast.AST) -> list[str]:
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom(module=str(module), level=0):
            return [module, *(f"{module}.{alias.name}" for alias in node.names)]
        case ast.Call(
            func=ast.Name(id="__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(str(name)), *_],
        ):
            return [name]
        case _:
            return []


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine; a class's instances are asked for their `__call__`."""
    import inspect

    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


def _short(path: Path) -> str:
    try:
        return path.resolve().relative_to(ROOT).as_posix()
    except ValueError:
        return str(path)
