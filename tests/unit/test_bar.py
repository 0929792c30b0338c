"""The line of `make test`: which part runs, how far it is, how long it took last; no flood where nothing can move."""

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tests.bar import FILE, Bar

NAME = "proofs, 2 of 2"


def run(root: Path, tests: int, terminal: bool = False, red: int = 0) -> str:
    """What is shown of a run of so many tests."""
    out = io.StringIO()
    bar = Bar(NAME, root, Console(file=out, force_terminal=terminal, width=100, highlight=False))
    plugins = SimpleNamespace(has_plugin=lambda name: False)
    session: Any = SimpleNamespace(config=SimpleNamespace(pluginmanager=plugins), items=[None] * tests)
    bar.pytest_sessionstart(session)
    bar.pytest_collection_finish(session)
    for number in range(tests):
        report: Any = SimpleNamespace(failed=number < red, nodeid=f"tests/test_{number}.py::test_it")
        bar.pytest_runtest_logreport(report)
        bar.pytest_runtest_logfinish()
    bar.pytest_sessionfinish(exitstatus=1 if red else 0)
    return out.getvalue()


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


def test_where_nothing_can_move_there_are_ten_lines_however_many_tests(tmp_path: Path) -> None:
    first, *lines = run(tmp_path, 1000).splitlines()
    assert first == f"==> {NAME}"
    assert len(lines) == 10
    assert [line.partition("·")[0].strip() for line in lines] == [f"{n}00 of 1000" for n in range(1, 11)]


def test_in_ci_too_even_if_it_has_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert "\x1b[2K" not in run(tmp_path, 1000, terminal=True)


def test_in_a_terminal_one_line_moves(tmp_path: Path) -> None:
    shown = run(tmp_path, 30, terminal=True)
    assert "\x1b[2K" in shown
    assert f"==> {NAME}" in shown
    assert "30/30" in shown
    assert "30 of 30" not in shown


def test_who_is_red_is_named_at_once(tmp_path: Path) -> None:
    assert "    red: tests/test_0.py::test_it\n" in run(tmp_path, 3, red=1)


def test_it_says_how_long_it_took_last(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps({NAME: 151.2, "another": 3}), "utf-8")
    assert "(2:31 last time)" in run(tmp_path, 3)
    assert json.loads((tmp_path / FILE).read_text("utf-8"))[NAME] < 151
    assert json.loads((tmp_path / FILE).read_text("utf-8"))["another"] == 3


def test_a_red_run_says_nothing_of_how_long_it_takes(tmp_path: Path) -> None:
    run(tmp_path, 3, red=1)
    assert not (tmp_path / FILE).exists()


def test_no_tests_is_no_error(tmp_path: Path) -> None:
    assert run(tmp_path, 0) == f"==> {NAME}\n"
