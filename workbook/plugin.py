"""The pytest plugin: `pytest chapters/03_watchjob` tests the learner's code, and says in a sentence what is missing.

    --implementation reference|FOLDER|FILE    test another answer with the same tests
    --stretch                                 the stretch tasks too
    --upto N                                  tasks up to number N only

It acts on tests below `chapters/` alone; `--implementation chapters` works for `tests/end_to_end` too. Installing the
project registers it.
"""

import json
import os
import re
import sys
import warnings
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from workbook import listening, report
from workbook.book import CHAPTERS, Chapter, chapter_of, task_number
from workbook.gathered import RESULTS, Gathered
from workbook.kept import environment
from workbook.loader import LEARNER, Code
from workbook.origin import coroutines_know_their_origin
from workbook.recording import Recording

if (
    TYPE_CHECKING
):  # imported where they are used: the first tasks need none of it, and should be tested at once
    from workbook.bounds import Bounds
    from workbook.judge import Judge, Oracles
    from workbook.redis_world import RedisWorld
    from workbook.sandbox import Servers
    from workbook.world import World

RECORDING = pytest.StashKey[Recording]()
ORACLES: "pytest.StashKey[Oracles]" = pytest.StashKey()
BOUNDS: "pytest.StashKey[Bounds]" = pytest.StashKey()
COMPANION = "workbook-companion"
"""The name of the plugin of `workbook test`, which says itself what comes next."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("workbook", "the workbook's chapters")
    group.addoption("--implementation", help="learner (or chapters), reference, a folder, or a .py file")
    group.addoption("--stretch", action="store_true", help="run the stretch tasks too")
    group.addoption("--upto", type=int, metavar="N", help="only the tasks up to number N")
    group.addoption(
        "--results", metavar="FILE", help="write what each chapter test gave to this file, as JSON"
    )


def implementation(config: pytest.Config) -> str:
    """The code that the chapters' tests test: the learner's, unless the command line says otherwise."""
    return config.getoption("--implementation") or LEARNER


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = []
    recording = config.stash[RECORDING] = Recording(config)
    config.pluginmanager.register(Gathered(config, recording), "workbook-gathered")


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[RECORDING].close()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.stash[RECORDING].collected(items, config)
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        (kept if _is_wanted(config, item) else left_out).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def _is_wanted(config: pytest.Config, item: pytest.Item) -> bool:
    chapter, number = _place(item)
    if chapter is None or number is None:
        return True
    upto = config.getoption("--upto")
    if upto is not None and number > upto:
        return False
    if bool(config.getoption("--stretch")) or not chapter.task(number).stretch:
        return True
    # Who names a single test, or a task as in `-k task_6_`, wants it, stretch or not.
    named = f"task_{number}" in re.findall(r"task_\d+", str(config.getoption("keyword")))
    return named or any("::" in argument for argument in config.args)


def _place(item: pytest.Item) -> tuple[Chapter | None, int | None]:
    chapter = chapter_of(item.path)
    return chapter, task_number(item.name) if chapter else None


@pytest.fixture(scope="session")
def workbook_servers() -> "Iterator[Servers]":
    """The database and Redis servers of this run."""
    from workbook.sandbox import servers

    with servers() as running:
        yield running


@pytest.fixture(scope="module")
def chapter(request: pytest.FixtureRequest) -> Chapter:
    """The chapter that this test file belongs to."""
    found = chapter_of(request.path)
    assert found is not None, "this fixture is for the tests of a chapter"
    return found


@pytest.fixture(scope="module")
def code(request: pytest.FixtureRequest, chapter: Chapter) -> Code:
    """The code under test: `code.queue_name("high")`."""
    return Code(chapter, implementation(request.config))


@pytest.fixture
def world(
    request: pytest.FixtureRequest, workbook_servers: "Servers", chapter: Chapter, code: Code
) -> "Iterator[World]":
    """A whole scheduler with the code under test in it: see `workbook.world`.

    `@pytest.mark.settings(watch_poll_seconds=60)` changes its settings. With `@pytest.mark.can_go_away("redis")`, or
    "database", the code under test reaches that service through `world.proxies["redis"]`, which can be cut.
    """
    from workbook.world import opened

    number = task_number(request.node.name)
    assert number is not None, "name a chapter's test after its task: test_task_3_…"
    changes: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers("settings"))):
        changes.update(mark.kwargs)
    away = [name for mark in request.node.iter_markers("can_go_away") for name in mark.args]
    with (
        workbook_servers.sandbox(**changes) as settings,
        opened(code, chapter, number, settings, away) as world,
    ):
        yield world


@pytest.fixture(scope="session")
def workbook_redis() -> "Iterator[Servers]":
    """The Redis of this run, for tests that need no database."""
    from workbook.sandbox import redis_servers

    with redis_servers() as running:
        yield running


@pytest.fixture
def judge(request: pytest.FixtureRequest, chapter: Chapter, code: Code) -> "Iterator[Judge]":
    """Compares the code under test with the reference: see `workbook.judge`.

    With `@pytest.mark.processes(2)` the code under test stands in two processes that share a database and a Redis.
    `settings` and `can_go_away` mean what they mean for `world`.
    """
    from workbook.judge import judging

    number = task_number(request.node.name)
    assert number is not None, "name a chapter's test after its task: test_task_3_…"
    marks = {mark.name: mark for mark in request.node.iter_markers()}
    processes = marks["processes"].args[0] if "processes" in marks else 1
    changes = marks["settings"].kwargs if "settings" in marks else {}
    away = marks["can_go_away"].args if "can_go_away" in marks else ()

    def servers(name: str) -> "Servers":
        running: Servers = request.getfixturevalue(name)
        return running

    oracles = request.config.stash.setdefault(ORACLES, {})
    with judging(code, chapter, number, servers, processes, changes, away, oracles) as judge:
        yield judge


@pytest.fixture
def redis_world(workbook_redis: "Servers", code: Code) -> "Iterator[RedisWorld]":
    """A Redis of this test's own, without a database: see `workbook.redis_world`."""
    from workbook.redis_world import RedisWorld

    with ExitStack() as stack:
        settings = stack.enter_context(workbook_redis.redis_sandbox())
        world = RedisWorld(code, settings)
        stack.callback(world.close)
        yield world


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if _place(item)[0] is None:
        return (yield)
    with listening.ends():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    if _place(item)[0] is None:
        return (yield)
    bounds = _bounds(item.config)
    bounds.begin(item)
    with bounds.of(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    if _place(item)[0] is None:
        return (yield)
    bounds = _bounds(item.config)
    try:
        with bounds.of(item):
            return (yield)
    finally:
        bounds.end(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    if _place(item)[0] is None:
        return (yield)
    forgotten: list[str] = []

    def note(message: Warning | str, kind: object, filename: str, *_: object, **__: object) -> None:
        # The first is enough: a loop that forgets its await makes hundreds of thousands. One that began elsewhere,
        # as in what an earlier test left to the garbage collector, says nothing about the code under test.
        if not forgotten and report.is_forgotten(str(message), filename, report.files_of(item)):
            forgotten.append(str(message))

    with _bounds(item.config).of(item), warnings.catch_warnings(), coroutines_know_their_origin():
        failure: BaseException | None = None
        answer: object = None
        try:
            _load(item)
            warnings.simplefilter("always")
            warnings.showwarning = note  # type: ignore[assignment]
            with environment():
                answer = yield
            if world := report.world_of(item):
                world.check()
        except (Exception, pytest.fail.Exception) as error:
            failure = error
        if forgotten:
            # This outranks what the test saw: without the await, nothing after it means anything.
            raise NeverAwaited(report.never_awaited(forgotten[0], report.files_of(item))) from failure
        if failure is not None:
            raise failure
        return answer


def _bounds(config: pytest.Config) -> "Bounds":
    """What holds while tests of chapters run; made for the first of them."""
    if BOUNDS not in config.stash:
        from workbook.bounds import Bounds

        config.stash[BOUNDS] = Bounds(lambda item, sentence: _lost(item, sentence))
    return config.stash[BOUNDS]


def _lost(item: pytest.Item, sentence: str) -> None:
    """End this process: the code under test does not come back whatever is done, and the sentence must be said."""
    capture = item.config.pluginmanager.get_plugin("capturemanager")
    if capture is not None:
        capture.suspend_global_capture(in_=False)
    chapter, number = _place(item)
    assert chapter is not None
    assert number is not None
    results = item.config.stash[RESULTS]
    results.append(report.Result(item.nodeid, chapter.task(number), False, "Hang", sentence, sentence))
    item.config.stash[RECORDING].finished(results)
    sys.stdout.write(f"\n{sentence}\nNothing ends it, so the test run ends here, in {item.nodeid}\n")
    sys.stdout.flush()
    os._exit(1)


def _load(item: pytest.Item) -> None:
    """Load what the test's task is about: a file that Python can't read is no answer that a test should judge."""
    chapter, number = _place(item)
    code: Code | None = getattr(item, "funcargs", {}).get("code")
    if chapter is not None and number is not None and code is not None:
        task = chapter.task(number)
        for entry in task.entry:
            code.get(task.file, entry)


class NeverAwaited(AssertionError):
    """The code under test made a coroutine and never awaited it."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    outcome = yield
    chapter, number = _place(item)
    if chapter is None or number is None or (outcome.when != "call" and outcome.passed):
        return outcome
    result = report.Result.of(item, outcome, call, chapter.task(number))
    if not outcome.passed and (gone := _servers_gone(item)) is not None:
        result = report.Result(item.nodeid, result.task, False, report.NOT_JUDGED, gone, gone)
        item.session.shouldstop = gone  # each test after this one would say the same
    outcome.workbook = result.packed()  # type: ignore[attr-defined]
    if result.sentence:
        outcome.sections.insert(0, ("workbook", report.full(result)))
    return outcome


def _servers_gone(item: pytest.Item) -> str | None:
    """If a server that a test used is gone: the sentence that says so."""
    used: dict[str, Any] = getattr(item, "funcargs", None) or {}
    found = [used[name].gone() for name in ("workbook_servers", "workbook_redis") if name in used]
    return next((sentence for sentence in found if sentence is not None), None)


@pytest.hookimpl(tryfirst=True)
def pytest_report_header(config: pytest.Config) -> list[str]:
    chosen = implementation(config)
    return [] if chosen == LEARNER else [f"implementation: {chosen}"]


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    # The report of a chapter says the same in a dozen lines. Whoever asks for a traceback, or for -vv, gets both.
    options = session.config.option
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    only_chapters = all(_is_of_chapters(argument) for argument in session.config.args)
    if only_chapters and options.tbstyle == "auto" and options.verbose < 2:
        options.tbstyle = "no"
        if terminal is not None:
            terminal.reportchars = ""


def _is_of_chapters(argument: str) -> bool:
    path = Path(argument.partition("::")[0]).resolve()
    return path == CHAPTERS or CHAPTERS in path.parents


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for failed in terminalreporter.stats.get("error", []):
        if isinstance(failed, pytest.CollectReport) and config.option.tbstyle == "no":
            last = str(failed.longrepr).strip().splitlines()[-1].removeprefix("E").strip()
            terminalreporter.write_line(f"{failed.nodeid} can't be read: {last}", red=True)
    bounds = config.stash.get(BOUNDS, None)
    for left in bounds.left_running() if bounds is not None else []:
        terminalreporter.write_line(f"A thread of your code still runs, and is left behind: {left}", red=True)
    results = config.stash[RESULTS]
    if results:
        advice = not config.pluginmanager.has_plugin(COMPANION)
        for line in report.summary(results, implementation(config), advice):
            terminalreporter.write_line(line.text, **line.markup)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    bounds = session.config.stash.get(BOUNDS, None)
    if bounds is not None and bounds.left_running():
        from workbook.bounds import leave_at_the_end

        leave_at_the_end(int(exitstatus))
    if hasattr(session.config, "workerinput"):
        return  # one of several processes; whoever has started them gathers what they give
    results = session.config.stash[RESULTS]
    session.config.stash[RECORDING].finished(results)
    path = session.config.getoption("--results")
    if path:
        Path(path).write_text(json.dumps([result.as_json() for result in results], indent=1), "utf-8")
