"""Runs a chapter's tests against some implementation, in this process, and gives what each test gave."""

import gc
import importlib.util
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from itertools import zip_longest
from pathlib import Path
from types import ModuleType

import pytest
from _pytest.config import _prepareconfig

from tests.chapters import inputs, layers
from workbook.book import Chapter, chapters, task_number
from workbook.gathered import RESULTS
from workbook.loader import Code
from workbook.report import Result

HERE = Path(__file__).parent


class _Asked:
    """A plugin that sees what each test reaches of the code under test: see `layers`."""

    def __init__(self, chapter: Chapter) -> None:
        self._chapter = chapter
        self.too_much: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        code: Code | None = item.funcargs.get("code")  # type: ignore[attr-defined]
        number = task_number(item.name)
        if code is not None and number is not None:
            beyond = code.asked - layers.reach(self._chapter, number)
            self.too_much += [f"{item.nodeid} asks for {name}, of no task up to its own" for name in beyond]
            code.asked.clear()


class ChapterSession:
    """A pytest session of one chapter's tests that stays open: to start one takes longer than most tests.

    Its tests are collected once. Each run loads the code under test anew, for no fixture outlives a run.
    """

    def __init__(self, chapter: Chapter) -> None:
        path = next(chapter.folder.glob("test_*.py"))
        # What the code under test prints belongs to the outer test, which captures it.
        options = ["--stretch", "-q", "-pno:cacheprovider", "--capture=no"]
        self._asked = _Asked(chapter)
        self._output = io.StringIO()
        with redirect_stdout(self._output), redirect_stderr(self._output):
            # As pytest-xdist does in its processes: a session made here, whose loop is our own.
            self._config = _prepareconfig([str(path), *options], [self._asked])
            self._config._do_configure()
            self._config.pluginmanager.unregister(name="terminalreporter")  # it would keep every report
            self._session = pytest.Session.from_config(self._config)
            self._config.hook.pytest_sessionstart(session=self._session)
            self._config.hook.pytest_collection(session=self._session)
        assert self._session.items, f"no tests in {path}"

    def run(
        self, implementation: str, wanted: Callable[[pytest.Item], bool], enough: set[int]
    ) -> list[Result]:
        """See `run` below."""
        self._config.option.implementation = implementation
        results = self._config.stash[RESULTS] = []
        items = [item for item in self._session.items if wanted(item)]
        for item, following in zip_longest(items, items[1:]):
            red = {result.task.number for result in results if not result.passed}
            if task_number(item.name) not in red & enough:
                self._config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        self._session._setupstate.teardown_exact(None)  # the last may have been left out
        too_much, self._asked.too_much = self._asked.too_much, []
        assert not too_much, "; ".join(too_much)
        return results

    def close(self) -> None:
        """The session is over."""
        with redirect_stdout(self._output), redirect_stderr(self._output):
            self._config.hook.pytest_sessionfinish(session=self._session, exitstatus=pytest.ExitCode.OK)
            self._config._ensure_unconfigure()


_open: dict[str, ChapterSession] = {}
_kept_open = False


@contextmanager
def sessions() -> Iterator[None]:
    """Within the block, the session of a chapter stays open from its first run on."""
    global _kept_open
    _kept_open = True
    try:
        yield
    finally:
        _kept_open = False
        _close_all()


def _close_all() -> None:
    with redirect_stderr(io.StringIO()):  # what wrong answers have left lying about complains here
        gc.collect()
    gc.freeze()  # each session collects five times when it closes, and nothing is left to find
    while _open:
        _open.popitem()[1].close()  # the last first: each has put its hooks in front of the earlier ones
    gc.unfreeze()


def run(
    chapter: Chapter,
    implementation: str | Path,
    *,
    test: str | None = None,
    tasks: set[int] | None = None,
    enough: Iterable[int] = (),
) -> list[Result]:
    """The results of a chapter's tests, stretch included.

    With `test`, of the one test function of this name; with `tasks`, of the tests of these tasks. Of the tasks in
    `enough`, one red test is enough: those that follow it do not run.
    """

    def wanted(item: pytest.Item) -> bool:
        return (test is None or _function_name(item) == test) and (
            tasks is None or task_number(item.name) in tasks
        )

    if chapter.name not in _open:
        _open[chapter.name] = ChapterSession(chapter)
    try:
        with inputs.run_of(chapter, str(implementation)):
            results = _open[chapter.name].run(str(implementation), wanted, set(enough))
    finally:
        if not _kept_open:
            _close_all()
    assert results, f"no test of {chapter.name} ran"
    return results


def _function_name(item: pytest.Item) -> str:
    return getattr(item, "originalname", item.name)


def red(results: Iterable[Result]) -> list[str]:
    """The tests that failed, each with its sentence."""
    return [f"{result.nodeid}: {result.sentence}" for result in results if not result.passed]


def answers(kind: str) -> list[tuple[Chapter, Path]]:
    """Every file of `mistakes`, `alternatives` or `steps`, with its chapter."""
    return [
        (chapter, path)
        for chapter in chapters()
        for path in sorted((HERE / kind / chapter.name).glob("*.py"))
    ]


def ids(pairs: Sequence[tuple[Chapter, Path]]) -> list[str]:
    """Names for parametrized tests."""
    return [f"{chapter.name}/{path.stem}" for chapter, path in pairs]


def constants(path: Path) -> ModuleType:
    """The file as a module, for what it says of itself: TEST and SAYS, or TASKS."""
    spec = importlib.util.spec_from_file_location(f"about_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
