"""What was proved is remembered with the files that it was proved with, and with no others."""

from pathlib import Path
from typing import Any

import pytest

from tests import remembered
from tests.chapters import inputs
from tests.remembered import Memory

USED: dict[str, list[str]] = {"chapters": ["01_queue"], "answers": [], "pieces": []}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one file that a proof depends on, and one that it does not."""
    for name in ("workbook", "chapters"):
        (tmp_path / name).mkdir()
    for name in ("pyproject.toml", "constraints.txt", "workbook/used.py", "chapters/other.py"):
        (tmp_path / name).write_text("before", "utf-8")

    def files(**used: Any) -> set[Path]:
        return {tmp_path / "workbook" / "used.py", *(tmp_path / name for name in used["answers"])}

    monkeypatch.setattr(inputs, "files", files)
    return tmp_path


def change(root: Path, name: str) -> None:
    (root / name).write_text("after", "utf-8")


def test_nothing_is_known_at_first(root: Path) -> None:
    assert Memory(root).proved() == set()


def test_what_was_green_with_these_files_is_proved(root: Path) -> None:
    Memory(root).update({"one": USED}, [])
    change(root, "chapters/other.py")
    assert Memory(root).proved() == {"one"}


def test_a_change_of_what_it_depends_on_makes_it_unproved(root: Path) -> None:
    Memory(root).update({"one": USED}, [])
    change(root, "workbook/used.py")
    assert Memory(root).proved() == set()


def test_a_change_while_it_ran_makes_it_unproved(root: Path) -> None:
    memory = Memory(root)
    change(root, "workbook/used.py")
    memory.update({"one": USED}, [])
    assert Memory(root).proved() == set()


def test_who_is_red_is_forgotten_and_the_others_are_not(root: Path) -> None:
    Memory(root).update({"one": USED, "two": USED}, [])
    Memory(root).update({}, ["one"])
    assert Memory(root).proved() == {"two"}


def test_an_answer_that_is_gone_is_not_proved(root: Path) -> None:
    change(root, "chapters/answer.py")
    Memory(root).update({"one": {**USED, "answers": ["chapters/answer.py"]}}, [])
    assert Memory(root).proved() == {"one"}
    (root / "chapters/answer.py").unlink()
    assert Memory(root).proved() == set()


def test_another_python_or_another_package_proves_anew(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Memory(root).update({"one": USED}, [])
    monkeypatch.setattr(remembered, "_surroundings", lambda: ["another"])
    assert Memory(root).proved() == set()


def test_a_file_that_can_not_be_read_means_that_nothing_is_known(root: Path) -> None:
    (root / remembered.FILE).write_text("{", "utf-8")
    assert Memory(root).proved() == set()
    Memory(root).update({"one": USED}, [])
    assert Memory(root).proved() == {"one"}
    assert [path.name for path in root.glob(".proved*")] == [".proved"]
