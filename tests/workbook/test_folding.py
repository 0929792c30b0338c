"""Code that is broken for a narrow terminal stays code: the same, and as narrow as Python allows."""

import ast

import pytest

from workbook import comparing
from workbook.book import ROOT, chapters
from workbook.folding import folded

SOURCES = [
    *(ROOT / "reference" / "scheduler").rglob("*.py"),
    *(path for chapter in chapters() for path in (comparing.STEPS / chapter.name).glob("*.py")),
]


@pytest.mark.parametrize("columns", [40, 60, 77])
def test_what_is_folded_is_the_same_code(columns: int) -> None:
    for path in SOURCES:
        source = path.read_text("utf-8")
        assert ast.dump(ast.parse(folded(source, columns))) == ast.dump(ast.parse(source)), path


def test_a_line_goes_on_within_brackets_and_a_comment_in_a_comment() -> None:
    source = """\
def accept(app: App, new: list[NewJob]) -> None:
    # The kind of the error, and not its text, which can name a password.
    log.warning("not pushed, the reconciler will", type(error), extra={"job_id": job})
    text = f"{len(first)}, {len(second)} and a text that is long, but stays one text"
    one = first + second + third + fourth + fifth + sixth
"""
    assert folded(source, 44).splitlines() == [
        "def accept(app: App,",
        "        new: list[NewJob]) -> None:",
        "    # The kind of the error, and not its",
        "    # text, which can name a password.",
        "    log.warning(",
        '            "not pushed, the reconciler will",',
        "            type(error),",
        '            extra={"job_id": job})',
        '    text = f"{len(first)}, {len(second)} and a text that is long, but stays one text"',
        "    one = first + second + third + fourth + fifth + sixth",
    ]


@pytest.mark.parametrize("columns", [40, 77])
def test_what_python_can_not_read_is_left_as_it_is(columns: int) -> None:
    broken = "def accept(app, " + "new, " * 40
    assert folded(broken, columns) == broken
