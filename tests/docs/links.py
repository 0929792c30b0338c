"""Whether what a page points to is there: its links, their anchors, and the paths in its code."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from tests.docs.pages import ROOT, Page

LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
OF_THE_BOOK = re.compile(
    r"^(chapters|deploy|docs|notebooks|proto|reference|tests|workbook|\.github|\.devcontainer|\.cursor|\.vscode)/[\w./*-]+$"
)
NOT_YET = ("08_schedule", "schedule_job.py")
"""The chapter that docs/teaching.md tells how to add."""


def broken_links(page: Page) -> Iterator[str]:
    """A sentence for each link within the book that leads nowhere."""
    for number, line in page.prose:
        for found in LINK.finditer(re.sub(r"`[^`]*`", "", line)):
            target = unquote(found["target"])
            if not re.match(r"(https?|mailto):", target) and not _is_there(page, target):
                yield f"{page.name}:{number}: the link to {target} leads nowhere"


def broken_paths(page: Page) -> Iterator[str]:
    """A sentence for each path in code that names no file of the book."""
    for number, span in page.spans:
        if OF_THE_BOOK.match(span) and not any(name in span for name in NOT_YET) and not any(ROOT.glob(span)):
            yield f"{page.name}:{number}: there is no {span}"


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    found: set[str] = set()
    for heading in Page("", text).headings:
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = next(number for number in range(100) if _numbered(slug, number) not in found)
        found.add(_numbered(slug, number))
    return found


def _numbered(slug: str, number: int) -> str:
    return f"{slug}-{number}" if number else slug


def _is_there(page: Page, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = (ROOT / page.name).parent / path if path else Path(page.name)
    if path and not file.exists():
        return False
    if not anchor:
        return True
    return anchor in anchors(page.text if not path else file.read_text("utf-8"))
