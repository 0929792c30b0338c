"""A proof depends on what it ran: more than that is proved in vain, and less would be believed in vain."""

import ast
from dataclasses import fields
from pathlib import Path

import pytest
from scheduler.parts import reference

from tests.chapters import inputs, runner
from workbook.book import ROOT, chapter, chapters
from workbook.loader import LEARNER, REFERENCE

API = ROOT / "reference" / "scheduler" / "api"


def files(used: inputs.Depends) -> frozenset[Path]:
    return inputs.files(**used.as_lists())


def test_a_proof_depends_on_its_chapter_its_answer_and_the_harness() -> None:
    answer = runner.HERE / "mistakes" / "02_getjob" / "none_becomes_1970.py"
    with inputs.noting() as used:
        runner.run(chapter("02"), answer, tasks={1})
    assert used.is_known
    wanted = [
        answer,
        chapter("02").folder / "test_getjob.py",
        chapter("02").folder / "README.md",
        API / "get_job.py",
        API / "__init__.py",
        ROOT / "reference" / "scheduler" / "schema.sql",
        ROOT / "reference" / "scheduler" / "jobs.py",
        ROOT / "workbook" / "world.py",
        ROOT / "tests" / "conftest.py",
        Path(runner.__file__),
        ROOT / "constraints.txt",
    ]
    assert not [path for path in wanted if path not in files(used)]


def test_it_depends_on_no_piece_of_another_chapter_that_it_did_not_call() -> None:
    with inputs.noting() as used:
        runner.run(chapter("04"), LEARNER, tasks={1})
    assert API / "cancel_job.py" in files(used)
    assert not {API / "list_jobs.py", API / "submit_job.py"} & files(used)
    assert chapter("05").folder / "test_listjobs.py" not in files(used)


def test_it_depends_on_a_piece_that_its_server_called(workbook_servers: object) -> None:
    with inputs.noting() as used:
        runner.run(chapter("04"), REFERENCE, test="test_task_1_leaves_the_loop_to_others")
    assert used.is_known
    assert "scheduler.api.get_job" in used.pieces
    assert API / "get_job.py" in files(used)


def test_what_a_piece_imports_counts_too() -> None:
    assert API / "get_job.py" in inputs.files([], [], ["scheduler.api.watch_job"])
    assert API / "get_job.py" not in inputs.files([], [], ["scheduler.api.list_jobs"])


def test_every_piece_notes_its_call() -> None:
    noted = inputs._noted_reference()
    for one in fields(noted):
        piece, original = getattr(noted, one.name), getattr(reference(), one.name)
        assert piece.__wrapped__ is original, one.name


def test_a_piece_that_nobody_called_does_not_count() -> None:
    always = inputs.files([], [], [])
    paths = {path.relative_to(ROOT / "reference").as_posix() for path in always if "reference" in path.parts}
    assert {"scheduler/parts.py", "scheduler/server.py", "scheduler/jobs.py"} <= paths
    assert not [path for path in paths if path.startswith(("scheduler/api/", "scheduler/worker/worker"))]


def test_no_import_is_written_in_a_way_that_is_not_read() -> None:
    for path in inputs.files([one.name for one in chapters()], [], []):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))) if path.suffix == ".py" else ():
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path} has a relative import"


def test_an_answer_outside_the_repository_is_never_remembered(tmp_path: Path) -> None:
    answer = tmp_path / "mine.py"
    answer.write_text("def queue_name(priority):\n    return 'q:' + priority\n", "utf-8")
    with inputs.noting() as used:
        runner.run(chapter("01"), answer, tasks={1})
    assert not used.is_known


def test_an_answer_that_is_gone_is_said() -> None:
    with pytest.raises(OSError, match=r"gone\.py"):
        inputs.files([], ["tests/chapters/mistakes/01_queue/gone.py"], [])
