"""Chapters that `workbook catch-up` has filled from the reference: a list beside the learner's files, never in them."""

import json

from workbook import files
from workbook.book import Chapter
from workbook.progress import FOLDER

FILE = FOLDER / "caught-up.json"


def names() -> frozenset[str]:
    """The names of the filled chapters. None, if the file is missing or can't be read."""
    try:
        return frozenset(str(name) for name in json.loads(FILE.read_bytes())["chapters"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return frozenset()


def fill(chapters: list[Chapter]) -> None:
    """Let exactly these chapters come from the reference. Raises `OSError`."""
    FOLDER.mkdir(exist_ok=True)
    data = {"chapters": [chapter.name for chapter in chapters]}
    files.write(FILE, json.dumps(data, indent=1).encode())
