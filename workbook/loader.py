"""Finds the code under test: the learner's, the reference's, or another answer's.

An implementation is one of
    learner      the files in the chapter's own folder, and nothing else; `chapters` says the same
    reference    the modules of `scheduler`
    a folder     files of the same names as the chapter's, or a folder of these for each chapter, by the chapter's name;
                 what it lacks comes from the reference
    a file       one .py file whose names replace the reference's

or several of them in layers, the uppermost first, as `task_2.py+task_1.py+learner`: a name comes from the first layer
that has it. A file reaches what lies below it with `earlier("name")`.
"""

import ast
import importlib
import importlib.util
import sys
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any

from workbook import kept, source
from workbook.book import CHAPTERS, ROOT, Chapter, chapters

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
    "scheduler.metrics_interceptor",
    "scheduler.hub",
    "scheduler.parts",
)
"""Modules of the reference that are answers. A learner's file may not import them."""


class LoadError(Exception):
    """The code can't be used. The message is a sentence for the learner."""


class Code:
    """The entry points of one chapter, from one implementation, as attributes. A missing one raises `LoadError`."""

    def __init__(self, chapter: Chapter, implementation: str = LEARNER, process: int = 0) -> None:
        self._chapter = chapter
        self._implementation = implementation
        self._process = process
        layers = [_for_chapter(chapter, layer) for layer in implementation.split("+")]
        self._layers = layers if layers[-1] in (LEARNER, REFERENCE) else [*layers, REFERENCE]
        self._loaded: dict[tuple[int, str], ModuleType | None] = {}
        self._failed: dict[tuple[int, str], LoadError] = {}
        self._begun: set[str] = set()
        self.asked: set[str] = set()
        """The names that somebody wanted; whoever wonders what a test reaches may empty it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._find(name, list(self._chapter.modules))

    def in_another_process(self, number: int) -> "Code":
        """The same code as another process has it: its files are run anew, and its hashes are others."""
        return Code(self._chapter, self._implementation, number)

    def get(self, file: str, entry: str) -> Any:
        """What `entry` (`push`, or `JobQueue.push`) is in `file`. Raises `LoadError` if it isn't there."""
        return self._find(entry.partition(".")[0], [file])

    @property
    def files(self) -> set[str]:
        """The files that belong to this implementation, as absolute paths: frames in them are the learner's lines."""
        return set(self._begun)

    def _find(self, name: str, files: list[str], above: int = -1) -> Any:
        """What the uppermost layer below `above` that has this name has."""
        if above < 0:
            self.asked.add(name)
        for position in range(above + 1, len(self._layers)):
            for file in files:
                module = self._load(position, file)
                if hasattr(module, name):
                    return getattr(module, name)
        layer = self._layers[0]
        where = f"chapters/{self._chapter.name}" if layer == LEARNER else layer
        raise LoadError(f"{where} has no `{name}`; the tests call it, so keep its name")

    def _load(self, position: int, file: str) -> ModuleType | None:
        layer = self._layers[position]
        is_one_file = layer.endswith(".py")
        key = (position, "" if is_one_file else file)
        if key in self._failed:  # once is enough: what hangs there would hang before each test
            raise LoadError(str(self._failed[key])) from self._failed[key]
        if key not in self._loaded:
            token = _loading.set((self, position))
            try:
                self._loaded[key] = self._load_anew(layer, file)
            except LoadError as error:
                self._failed[key] = error
                raise
            finally:
                _loading.reset(token)
        return self._loaded[key]

    def _load_anew(self, layer: str, file: str) -> ModuleType | None:
        if layer == LEARNER:
            path = self._chapter.folder / file
            refuse_answers(path)
            self._begun.add(str(path))
            return load_file(path, f"chapter_{self._chapter.name}", self._process)
        if layer == REFERENCE:
            return importlib.import_module(self._chapter.modules[file])
        path = Path(layer) if layer.endswith(".py") else Path(layer) / file
        if layer.endswith(".py") and not path.exists():
            raise LoadError(f"--implementation {layer}: there is no such file")
        self._begun.add(str(path))
        return load_file(path, f"answer_{path.parent.name}", self._process) if path.exists() else None


def _for_chapter(chapter: Chapter, layer: str) -> str:
    """The layer, narrowed to one chapter where it is a folder of several. Raises `LoadError` if it holds no answer."""
    folder = Path(layer)
    if layer in (LEARNER, REFERENCE) or layer.endswith(".py"):
        return layer
    if not folder.is_dir():
        raise LoadError(f"--implementation {layer}: there is no such file or folder")
    if folder.resolve() == CHAPTERS:
        return LEARNER
    if (folder / chapter.name).is_dir():
        return str(folder / chapter.name)
    if any((folder / other.name).is_dir() for other in chapters()):
        return REFERENCE
    if not any((folder / file).exists() for file in chapter.modules):
        raise LoadError(f"--implementation {layer}: the folder has no {' and no '.join(chapter.modules)}")
    return layer


_loading: ContextVar[tuple[Code, int]] = ContextVar("loading")


def folder_of(chapter: Chapter, implementation: str) -> Path | None:
    """The folder in which an implementation keeps a chapter's files; None for the reference's. Raises `LoadError`."""
    layer = _for_chapter(chapter, implementation)
    if layer == REFERENCE:
        return None
    return chapter.folder if layer == LEARNER else Path(layer)


def earlier(name: str) -> Any:
    """For an answer in layers, while it is loaded: what the layers below have under this name."""
    code, position = _loading.get()
    return code._find(name, list(code._chapter.modules), above=position)


def load_file(path: Path, prefix: str, process: int = 0) -> ModuleType:
    """Run a file as a module of its own, anew each time. Raises `LoadError` if it does not even run.

    With another `process` than 0 it finds hashes that differ from this one's, as in each process of Python.
    """
    name = f"{prefix}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.exists():
        raise LoadError(f"{_short(path)} is missing; `git checkout {_short(path)}` brings it back")
    module = importlib.util.module_from_spec(spec)
    if process:
        vars(module)["hash"] = lambda value: hash((process, value))
    sys.modules[name] = module  # dataclasses look their module up by its name
    try:
        with kept.process_state(), kept.environment(additions_stay=True):
            spec.loader.exec_module(module)
    except BaseException as error:
        if _is_ctrl_c(error):
            raise
        raise LoadError(_why_it_does_not_run(path, error)) from error
    return module


def _is_ctrl_c(error: BaseException) -> bool:
    from workbook import ending

    return isinstance(error, KeyboardInterrupt) and ending.explained(error, set()) is error


def _why_it_does_not_run(path: Path, error: BaseException) -> str:
    """One sentence about what ended the import of a file, with the line of it that did."""
    from workbook.ending import ENDING, explained
    from workbook.main_watch import line_of
    from workbook.watchdog import Ended

    if isinstance(error, LoadError | Ended):
        return str(error)
    if isinstance(error, SyntaxError) and Path(error.filename or path) == path:
        return _unreadable(path, error)
    found = line_of(error, {str(path)})
    where = f"{_short(path)}, line {found.line}" if found else _short(path)
    if isinstance(error, ENDING):
        return str(explained(error, {str(path)}))
    if isinstance(error, ImportError):
        return f"{where} imports something that isn't there: {error}"
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"{where} can't be run: {said}{f', at `{found.source}`' if found else ''}"


def _unreadable(path: Path, error: SyntaxError) -> str:
    try:
        source.text(path)
    except source.NotText as unclear:
        error = unclear
    except OSError:
        pass
    line = f", line {error.lineno}" if error.lineno else ""
    return f"{_short(path)}{line}: Python can't read this ({error.msg})"


def refuse_answers(path: Path) -> None:
    """Raise `LoadError` if a learner's file imports what a chapter teaches."""
    try:
        tree = source.tree(path)
    except (SyntaxError, ValueError, OSError):
        return  # running the file will say so, with its line
    own_names = _names_of_the_scheduler(tree)
    for node in ast.walk(tree):
        for name in _imported(node, own_names):
            if any(name == taught or name.startswith(taught + ".") for taught in TAUGHT):
                raise LoadError(
                    f"{_short(path)}, line {getattr(node, 'lineno', 0)} imports {name}. That is the answer: "
                    f"write your own, and reach other pieces through app.parts"
                )


def _names_of_the_scheduler(tree: ast.AST) -> set[str]:
    """What `import scheduler` binds in a file, under whatever name."""
    return {
        alias.asname or "scheduler"
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "scheduler" or (alias.name.startswith("scheduler.") and alias.asname is None)
    }


def _imported(node: ast.AST, own_names: set[str]) -> list[str]:
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom(module=str(module), level=0):
            return [module, *(f"{module}.{alias.name}" for alias in node.names)]
        case ast.Attribute():  # scheduler.api, after `import scheduler`
            root, _, rest = ast.unparse(node).partition(".")
            return [f"scheduler.{rest}"] if root in own_names else []
        case ast.Constant(value=str(name)):  # for importlib, sys.modules and their kind
            return [name]
        case _:
            return []


def _short(path: Path) -> str:
    try:
        return path.resolve().relative_to(ROOT).as_posix()
    except ValueError:
        return str(path)
