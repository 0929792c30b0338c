"""The proofs that the chapters teach: red for the right reason, green for right answers, and words for wrong ones.

The answers stand in three folders beside this file, one folder a chapter in each:

    steps/          task_K.py answers task K; in layers they pass all tasks up to K and fail each one after
                    (what layer K can't change was seen with fewer layers, and `layers` says why that is enough)
    mistakes/       a wrong answer that learners give: TEST is the test that must fail, SAYS the words that it must say
    alternatives/   another right answer, different in design: TASKS are the tasks that it claims
"""

import ast
import importlib
import inspect
from collections.abc import Iterator

import pytest

from tests.chapters import layers, runner
from workbook.book import Chapter, chapters
from workbook.loader import LEARNER, REFERENCE, Code
from workbook.sandbox import Servers

MISTAKES = runner.answers("mistakes")
ALTERNATIVES = runner.answers("alternatives")
STEPS = [(chapter, path) for chapter, path in runner.answers("steps") if path.stem.startswith("task_")]
LEAST_MISTAKES = 12
LEAST_ALTERNATIVES = 3

each_chapter = pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.name)


@pytest.fixture(autouse=True, scope="session")
def _one_pair_of_servers(workbook_servers: Servers) -> Iterator[None]:
    """The runs inside these tests share the servers of this run, and each chapter's run in one session of pytest."""
    with runner.sessions():
        yield


@each_chapter
def test_every_test_is_red_on_the_untouched_skeleton_with_its_own_address(chapter: Chapter) -> None:
    for result in runner.run(chapter, LEARNER):
        assert not result.passed, f"{result.nodeid} passes although nothing is written"
        assert result.error == "NotImplementedError", f"{result.nodeid}: {result.error}: {result.message}"
        assert result.message.startswith(f"{chapter.name} task "), f"{result.nodeid}: {result.message}"
        number = int(result.message.removeprefix(f"{chapter.name} task ").partition(":")[0])
        assert number <= result.task.number, f"{result.nodeid} is stopped by a later task: {result.message}"


@each_chapter
def test_the_reference_passes_every_test_stretch_included(chapter: Chapter) -> None:
    results = runner.run(chapter, REFERENCE)
    assert not runner.red(results)
    assert {result.task.number for result in results} == {task.number for task in chapter.tasks}


@each_chapter
def test_every_task_has_a_step(chapter: Chapter) -> None:
    have = {path.stem for one, path in STEPS if one is chapter}
    assert have == {f"task_{task.number}" for task in chapter.tasks}


@pytest.mark.parametrize(("chapter", "step"), STEPS, ids=runner.ids(STEPS))
def test_a_step_passes_what_is_done_and_fails_each_later_task(chapter: Chapter, step) -> None:
    done = int(step.stem.removeprefix("task_"))
    below = [str(step.with_name(f"task_{number}.py")) for number in range(done, 0, -1)]
    later = {task.number for task in chapter.tasks if task.number > done}
    changed = layers.can_change(chapter, step)
    results = runner.run(chapter, "+".join([*below, LEARNER]), tasks=changed | later, enough=later)
    assert not runner.red(result for result in results if result.task.number <= done)
    failed = {result.task.number for result in results if not result.passed}
    assert later <= failed, f"with tasks up to {done} written, these pass already: {sorted(later - failed)}"


@pytest.mark.parametrize(("chapter", "mistake"), MISTAKES, ids=runner.ids(MISTAKES))
def test_a_mistake_is_caught_and_named(chapter: Chapter, mistake) -> None:
    about = runner.constants(mistake)
    results = runner.run(chapter, mistake, test=about.TEST)
    failed = [result for result in results if not result.passed]
    assert failed, f"{about.TEST} passes with this mistake"
    said = "\n".join(result.sentence for result in failed)
    assert about.SAYS in said, f"{about.TEST} is red, but does not say {about.SAYS!r}:\n{said}"


@pytest.mark.parametrize(("chapter", "answer"), ALTERNATIVES, ids=runner.ids(ALTERNATIVES))
def test_another_right_answer_passes(chapter: Chapter, answer) -> None:
    claimed = set(runner.constants(answer).TASKS)
    results = runner.run(chapter, answer, tasks=claimed)
    assert not runner.red(results)
    assert {result.task.number for result in results} == claimed


@each_chapter
def test_there_are_enough_mistakes_and_alternatives(chapter: Chapter) -> None:
    mistakes = [path for one, path in MISTAKES if one is chapter]
    alternatives = [path for one, path in ALTERNATIVES if one is chapter]
    assert len(mistakes) >= LEAST_MISTAKES, f"{len(mistakes)} mistakes"
    assert len(alternatives) >= LEAST_ALTERNATIVES, f"{len(alternatives)} alternatives"
    caught = {int(runner.constants(path).TEST.split("_")[2]) for path in mistakes}
    assert caught == {task.number for task in chapter.tasks}, "every task has a mistake"


@each_chapter
def test_skeleton_and_reference_have_the_same_entry_points(chapter: Chapter) -> None:
    learner = Code(chapter, LEARNER)
    for file, entry in chapter.entries():
        here, there = (
            learner.get(file, entry),
            getattr(importlib.import_module(chapter.modules[file]), entry.split(".")[0]),
        )
        for name in entry.split(".")[1:]:
            here, there = getattr(here, name), getattr(there, name)
        assert list(inspect.signature(here).parameters) == list(inspect.signature(there).parameters), entry


@each_chapter
def test_every_entry_point_of_the_skeleton_is_a_stub(chapter: Chapter) -> None:
    for file, entry in chapter.entries():
        function = _function((chapter.folder / file).read_text("utf-8"), entry)
        body = function.body[1:] if ast.get_docstring(function) else function.body
        assert isinstance(body[0], ast.Raise), f"{file}: {entry} does more than raise"
        assert chapter.name in ast.unparse(body[0]), f"{file}: {entry} raises without its address"
        rest = [ast.unparse(statement) for statement in body[1:]]
        assert rest in ([], ["yield"]), f"{file}: {entry} has code after its raise"


@each_chapter
def test_nothing_a_learner_reads_holds_three_statements_of_the_answer(chapter: Chapter) -> None:
    pages = {
        path: _squeeze(path.read_text("utf-8"))
        for path in chapter.folder.iterdir()
        if path.suffix in (".md", ".py")
    }
    for file, entry in chapter.entries():
        source = _reference_source(chapter, file)
        for run in _runs_of_three(_function(source, entry)):
            for path, page in pages.items():
                assert run not in page, f"{path.name} holds part of the reference's {entry}: {run}"


def _function(source: str, entry: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    scope: ast.AST = ast.parse(source)
    for name in entry.split("."):
        scope = next(
            node
            for node in ast.iter_child_nodes(scope)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name
        )
    if isinstance(scope, ast.ClassDef):
        scope = next(node for node in scope.body if isinstance(node, ast.FunctionDef))
    assert isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef)
    return scope


def _reference_source(chapter: Chapter, file: str) -> str:
    return inspect.getsource(importlib.import_module(chapter.modules[file]))


def _runs_of_three(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return [_squeeze("".join(ast.unparse(part) for part in body[i : i + 3])) for i in range(len(body) - 2)]


def _squeeze(text: str) -> str:
    return "".join(text.split())
