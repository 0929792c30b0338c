"""What every notebook has, what git must not have, and what the page about them must name."""

import ast
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.notebooks.running import NOTEBOOKS
from workbook.book import ROOT

SOURCE = ROOT / "workbook" / "notebook"
"""Read, not imported: it draws with pandas and matplotlib, which take longer than all that is asked here."""
PAGE = (ROOT / "docs" / "notebooks.md").read_text("utf-8")
LONGEST_CELL = 24

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_are_seven() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06", "07"]


@each
def test_git_holds_no_outputs(path: Path) -> None:
    """A reader who has run a notebook and saved it has outputs in the folder: that is as it should be."""
    import nbformat

    book = json.loads(_in_git(path) or path.read_text("utf-8"))
    nbformat.validate(book)
    for cell in book["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@each
def test_begins_with_what_one_will_see(path: Path) -> None:
    first, second = _cells(path)[:2]
    assert first.cell_type == "markdown"
    assert re.match(rf"# {path.stem[:2]} · ", first.source)
    assert "**What you will see:**" in first.source
    assert "nb.connect(" in second.source


@each
def test_asks_before_it_shows(path: Path) -> None:
    assert len(re.findall(r"\*\*Predict", _prose(path))) >= 2


@each
def test_has_exercises_with_folded_answers(path: Path) -> None:
    _, _, exercises = _prose(path).partition("## Exercises")
    questions = re.findall(r"^\*\*\d\.\*\*", exercises, re.MULTILINE)
    assert len(questions) in (2, 3)
    assert exercises.count("<details><summary>Answer</summary>") == len(questions)
    assert exercises.count("</details>") == len(questions)


@each
def test_answers_are_python(path: Path) -> None:
    for code in re.findall(r"```python\n(.*?)```", _prose(path), re.DOTALL):
        compile(code, path.name, "exec")


@each
def test_cells_are_short(path: Path) -> None:
    for cell in _cells(path):
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= LONGEST_CELL, cell.source


def _exported() -> list[str]:
    tree = ast.parse((SOURCE / "__init__.py").read_text("utf-8"))
    (exported,) = [node.value for node in tree.body if isinstance(node, ast.Assign)]
    return [str(name) for name in ast.literal_eval(exported)]


def _methods() -> list[str]:
    tree = ast.parse((SOURCE / "system.py").read_text("utf-8"))
    (system,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "System"]
    methods = [node for node in system.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [node.name for node in methods if not node.name.startswith("_")]


@pytest.mark.parametrize("name", _exported())
def test_the_page_names_what_the_module_offers(name: str) -> None:
    assert f"`{name}" in PAGE or f"`nb.{name}" in PAGE


@pytest.mark.parametrize("name", _methods())
def test_the_page_names_what_a_system_can_do(name: str) -> None:
    assert f"`system.{name}" in PAGE


def _cells(path: Path) -> list[Any]:
    import nbformat

    return list(nbformat.read(path, as_version=4).cells)


def _prose(path: Path) -> str:
    return "\n\n".join(cell.source for cell in _cells(path) if cell.cell_type == "markdown")


def _in_git(path: Path) -> str:
    shown = subprocess.run(
        ["git", "show", f":notebooks/{path.name}"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return shown.stdout if shown.returncode == 0 else ""
