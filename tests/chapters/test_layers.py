"""What the proofs of the steps leave out is known from a neighbour: the reasons are looked at, and not believed."""

from pathlib import Path

import pytest

from tests.chapters import layers, runner
from workbook.book import chapter
from workbook.loader import LEARNER

QUEUE = chapter("01")


def step(folder: Path, number: int, text: str) -> Path:
    path = folder / f"task_{number}.py"
    path.write_text(text, "utf-8")
    return path


def test_a_step_changes_its_own_task_and_none_before(tmp_path: Path) -> None:
    assert layers.can_change(QUEUE, step(tmp_path, 2, "def encode_entry(job):\n    pass\n")) == {2}


@pytest.mark.parametrize(
    "also",
    [
        "def queue_name(priority): ...",
        "from shop import queue_name",
        "queue_name = str",
        "a, queue_name = 1, 2",
    ],
)
def test_a_step_that_binds_what_an_earlier_task_asked_for_changes_that_too(tmp_path: Path, also: str) -> None:
    text = f"{also}\n\ndef encode_entry(job): ...\n"
    assert layers.can_change(QUEUE, step(tmp_path, 2, text)) == {1, 2}


def test_a_step_without_the_entry_point_of_its_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="has no encode_entry"):
        layers.can_change(QUEUE, step(tmp_path, 2, "def another(job): ...\n"))


@pytest.mark.parametrize(
    "also",
    [
        "from scheduler.entry import *",
        "def __getattr__(name): ...",
        "globals().update(queue_name=str)",
        "if True:\n    queue_name = str",
        "import sys\nsys.path.clear()",
    ],
)
def test_a_step_that_may_bind_what_its_text_does_not_show_is_refused(tmp_path: Path, also: str) -> None:
    with pytest.raises(AssertionError, match=r"does more than bind|can't be read off"):
        layers.can_change(QUEUE, step(tmp_path, 2, f"{also}\n\ndef encode_entry(job): ...\n"))


def test_a_test_that_asks_for_more_than_its_task_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "reach", lambda chapter, last: {"encode_entry"})
    with pytest.raises(AssertionError, match="asks for queue_name, of no task up to its own"):
        runner.run(QUEUE, LEARNER, tasks={1})
    monkeypatch.undo()
    assert runner.run(QUEUE, LEARNER, tasks={1})


def test_every_test_of_a_done_task_is_run_with_the_last_layer_that_can_change_it() -> None:
    for one, path in runner.answers("steps"):
        assert int(path.stem.removeprefix("task_")) in layers.can_change(one, path)
