"""The book as it was handed out, and how somebody's folder differs from it."""

import io
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from workbook.book import ROOT, Chapter

PARTS = ("chapters", "workbook", "reference", "pyproject.toml")
"""What grading runs. The reference is missing where it is installed as a wheel."""
NEEDED = ("chapters", "workbook/graded_run.py", "pyproject.toml")
"""Without these a commit can't grade: it is older than grading."""
STEERING = ("conftest.py", "pytest.ini", "tox.ini", "setup.cfg", "sitecustomize.py", "usercustomize.py")
"""Files by which a folder changes how tests run in it."""
LARGEST = 500_000
"""Bytes of one file of a learner's. More is no answer to a task."""


class Pristine:
    """A clean copy of the book, in memory, where nothing that runs later can change it."""

    def __init__(self, source: str, archive: bytes) -> None:
        self.source = source
        """Where it is from: `git 1a2b3c4`, or `files` where git does not know this book."""
        self._archive = archive
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            self.files = {member.name: _content(tar, member) for member in tar if member.isfile()}
            """Each file's bytes, by its path within the book."""

    def unpack(self, target: Path) -> None:
        """Write it to a folder. Raises `OSError`."""
        for name, content in self.files.items():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


@dataclass(frozen=True)
class Difference:
    """A file that is not as in the book. None of them has an effect on a grade."""

    file: str
    how: str
    """`changed`, `missing` or `added`."""


def read() -> Pristine:
    """The book of this installation: as committed last, or its files where git does not know it."""
    known = _git("ls-tree", "--name-only", "HEAD", "--", *PARTS, *NEEDED).decode().split()
    if set(NEEDED) <= set(known):
        commit = _git("rev-parse", "--short", "HEAD").decode().strip()
        return Pristine(f"git {commit}", _git("archive", "--format=tar", "HEAD", "--", *known))
    return Pristine("files", _archive(path for name in PARTS for path in _files(ROOT / name)))


def differences(book: Pristine, chapters: Iterable[Chapter], folder: Path) -> list[Difference]:
    """How the tests, the tools and the reference in `folder` differ from the book's.

    Passed over: the files that the learner is to edit, pages (.md), line endings, and parts that the folder does not
    have at all, for a copy for students has no reference.
    """
    chapters = list(chapters)
    own = {f"chapters/{one.name}/{file}" for one in chapters for file in one.modules}
    found = [
        Difference(name, "changed" if (folder / name).exists() else "missing")
        for name, content in book.files.items()
        if _matters(name) and name not in own and (folder / _part(name)).exists()
        if _read(folder / name) != _plain(content)
    ]
    added = [Difference(name, "added") for name in _steering(folder, chapters) if name not in book.files]
    return sorted([*found, *added], key=lambda one: one.file)


def answer(folder: Path, chapter: Chapter, file: str) -> tuple[bytes | None, str]:
    """A learner's file, or None and the sentence that says why it can't be taken."""
    path = folder / "chapters" / chapter.name / file
    if path.is_symlink() or not path.resolve().is_relative_to(folder.resolve()):
        return None, f"{file} is a link, and only a file counts"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None, f"{file} is missing"
    except OSError as error:
        return None, f"{file} can't be read: {error.strerror}"
    if len(content) > LARGEST:
        return None, f"{file} has {len(content)} bytes, and no answer is that long"
    return content, ""


def _matters(name: str) -> bool:
    return PurePosixPath(name).suffix in (".py", ".toml", ".sql") and name != "pyproject.toml"


def _part(name: str) -> Path:
    """The chapter, or the part of the book, that a file belongs to."""
    first, second, *_ = Path(name).parts
    return Path(first, second) if first == "chapters" else Path(first)


def _steering(folder: Path, chapters: Iterable[Chapter]) -> Iterator[str]:
    """Files that would change how tests run, and Python files that stand in a chapter without belonging to it."""
    places = [folder, folder / "chapters", *(folder / "chapters" / one.name for one in chapters)]
    for place in places:
        for name in STEERING:
            if (place / name).exists():
                yield (place / name).relative_to(folder).as_posix()
    for one in chapters:
        for path in sorted((folder / "chapters" / one.name).glob("*.py")):
            if path.name not in one.modules and path.name not in STEERING:
                yield path.relative_to(folder).as_posix()


def _read(path: Path) -> bytes | None:
    try:
        return _plain(path.read_bytes())
    except OSError:
        return None


def _plain(content: bytes) -> bytes:
    """git on Windows writes other line endings; that is nobody's edit."""
    return content.replace(b"\r\n", b"\n")


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for below in sorted(path.rglob("*")):
        if below.is_file() and "__pycache__" not in below.parts:
            yield below


def _archive(paths: Iterable[Path]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in paths:
            tar.add(path, path.relative_to(ROOT).as_posix())
    return archive.getvalue()


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file is not None else b""


def _git(*arguments: str) -> bytes:
    """What git answers in the book's folder; nothing if it fails or is not there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""
