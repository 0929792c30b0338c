"""What the result of a test depends on, and a digest of it: a task stays green as long as none of it changes.

Always: the chapter's tests and its list of tasks, whatever else stands in its folder, `workbook/`, the reference, the
settings of pytest, Python, and the packages that the book names. And of the learner's files those that the test
reached: every module outside of Python, the packages and the book that was there when it ended. A file that is loaded
because a test before it needed it counts too: too much is tested in vain, and too little would be believed in vain.
"""

import importlib.util
import re
import sys
import sysconfig
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

from workbook.book import CHAPTERS, ROOT, Chapter, Task, chapter_of

SETTINGS = ("pyproject.toml", "conftest.py", "pytest.ini", "tox.ini", "setup.cfg", "chapters/conftest.py")
FAR = re.compile(rb"\bchapter_\d\d_|\bimport_module\b|__import__|sys\.modules|\bexec\(")
"""Who writes this may reach files that are not his own chapter's."""


class Contents:
    """The contents of files, each read once: what they are now, or were when this was made and first asked."""

    def __init__(self) -> None:
        self._of: dict[Path, bytes | None] = {}
        self._given: dict[str, str] = {}

    def digest(self, chapter: Chapter, files: Iterable[str]) -> str:
        """Of all that a result of this chapter depends on which reached these files (as `reached` names them)."""
        if chapter.name not in self._given:
            self._given[chapter.name] = self._of_all([*_given(), *_beside(chapter)], _surroundings())
        own = self._of_all([ROOT / name for name in sorted(set(files))])
        return sha256(f"{self._given[chapter.name]} {own}".encode()).hexdigest()[:32]

    def read(self, path: Path) -> bytes | None:
        """The bytes of a file; None if it can't be read."""
        if path not in self._of:
            try:
                self._of[path] = path.read_bytes()
            except OSError:
                self._of[path] = None
        return self._of[path]

    def _of_all(self, paths: Iterable[Path], *more: str) -> str:
        total = sha256("\0".join(more).encode())
        for path in paths:
            content = self.read(path)
            content = b"\0missing" if content is None else content
            total.update(f"{_name(path)}\0{len(content)}\0".encode())
            total.update(content)
        return total.hexdigest()


def reached(task: Task, chapter: Chapter, contents: Contents) -> list[str]:
    """The files, within the repository by their paths there, that a test of this task reached, if it ends now."""
    own = {chapter.folder / file for file, _ in chapter.entries(last=task.number)}
    loaded = set(_loaded())
    own |= {path for path in loaded if path.parent == chapter.folder}
    is_far = any(FAR.search(contents.read(path) or b"") for path in own)
    others = {path for path in loaded if is_far or not path.is_relative_to(CHAPTERS) or not chapter_of(path)}
    return sorted({_name(path) for path in own | others})


def _loaded() -> Iterator[Path]:
    """The files of all modules that belong neither to Python nor to a package nor to the book."""
    for module in list(sys.modules.values()):
        file = vars(module).get("__file__")
        if isinstance(file, str) and not _is_given(file):
            yield Path(file)


@cache
def _is_given(file: str) -> bool:
    path = Path(file)
    return any(path.is_relative_to(folder) for folder in (*_installed(), *_tools()))


@cache
def _installed() -> tuple[Path, ...]:
    return tuple({Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


@cache
def _tools() -> tuple[Path, ...]:
    """The folders of this package and of the reference."""
    reference = importlib.util.find_spec("scheduler")
    places = list(reference.submodule_search_locations or ()) if reference else []
    return (Path(__file__).parent, *map(Path, places))


def _given() -> Iterator[Path]:
    yield from (ROOT / name for name in SETTINGS)
    for folder in _tools():
        yield from sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


def _beside(chapter: Chapter) -> Iterator[Path]:
    """What stands in a chapter's folder besides its modules, their older versions, and pages."""
    with suppress(OSError):
        for path in sorted(chapter.folder.iterdir()):
            is_kept = any(path.name.startswith(f"{file}.") for file in chapter.modules)
            if path.is_file() and not is_kept and path.name not in chapter.modules and path.suffix != ".md":
                yield path


@cache
def _surroundings() -> str:
    """Python, and the versions of the packages that the book names."""
    wanted: set[str] = set()
    with suppress(OSError, ValueError, LookupError):
        texts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
        wanted = {_plain(re.split(r"[^\w.-]", text)[0]) for text in texts}
    found = {
        path.name
        for folder in _installed()
        for path in folder.glob("*.dist-info")
        if _plain(path.name.partition("-")[0]) in wanted
    }
    return "\n".join([sys.version, *sorted(found)])


def _plain(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
