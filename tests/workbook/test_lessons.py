"""What a lesson says about the tools and the skeletons is so."""

import ast
import re

import pytest

from workbook import stream
from workbook.book import ROOT, Chapter, chapter, chapters
from workbook.loader import TAUGHT

WORDS = ("no", "one", "two", "three", "four", "five", "six")
GIVEN = ROOT / "reference" / "scheduler"


def test_the_lesson_says_how_long_a_test_waits() -> None:
    lesson = (chapter("3").folder / "README.md").read_text("utf-8")
    said = re.search(r"waits for an event gives up after (\w+) seconds", lesson)
    assert said is not None
    assert WORDS.index(said[1]) == stream.WITHIN


@pytest.mark.parametrize("one", chapters(), ids=lambda one: one.name)
def test_a_given_function_that_a_page_asks_for_is_imported_or_told_with_its_module(one: Chapter) -> None:
    """Whoever reads that `quick()` is to be called should not have to look for where it is."""
    skeletons = [(one.folder / file).read_text("utf-8") for file in one.modules]
    page = "\n".join([(one.folder / "README.md").read_text("utf-8"), *skeletons])
    called = {
        name for code in re.findall(r"`([^`\n]+)`", page) for name in re.findall(r"(?<![\w.])(\w+)\(", code)
    }
    known = {name for text in skeletons for name in _names(text)}
    for name in sorted((called - known) & _given().keys()):
        paragraphs = [part for part in page.split("\n\n") if f"`{name}(" in part]
        assert any(module in part for part in paragraphs for module in _given()[name]), f"where is `{name}`?"


def _names(text: str) -> set[str]:
    """What a file imports or defines."""
    nodes = list(ast.walk(ast.parse(text)))
    imported = {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    return imported | {
        node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _given() -> dict[str, list[str]]:
    """Each public function of the reference that no chapter teaches, and the modules that have one of this name."""
    found: dict[str, list[str]] = {}
    for path in GIVEN.rglob("*.py"):
        module = ".".join(["scheduler", *path.relative_to(GIVEN).with_suffix("").parts])
        if module.startswith(
            (*TAUGHT, "scheduler.cli")
        ):  # what is taught is not given, and a command is no function
            continue
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(module)
    return found
