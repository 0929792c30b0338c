"""What all tests share: real servers for the run, and for each test a database and a Redis index of its own."""

import signal
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
from scheduler.app import App, open_app
from scheduler.config import Settings
from scheduler.server import RunningApi, running_api
from scheduler.v1 import scheduler_pb2_grpc

from tests import environment, patience, under_test
from tests.helpers import DIRECT
from workbook import mine
from workbook.book import chapter
from workbook.sandbox import Servers, servers

pytest_plugins = ["tests.prepared", "tests.shuffled", "tests.remembered"]


def pytest_configure(config: pytest.Config) -> None:
    environment.make_ordinary()
    patience.share()
    under_test.choose(config)
    # A shell that starts a job in the background lets it ignore Ctrl-C, and `nohup` that its terminal has closed. So
    # would all that the tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Right code is never called wrong: what the chapters do not ask for is no test of another scheduler's."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(patience.TEST_SECONDS))
    if under_test.is_reference():
        return
    left_out = [item for item in items if item.get_closest_marker("of_reference")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        for mark in item.iter_markers("needs_task"):
            task = chapter(mark.args[0]).task(mark.args[1])
            if under_test.is_missing(task):
                how = f"pytest chapters/{task.chapter} -k task_{task.number}_"
                reason = f"asks for {task.address}, {task.name}, which is not green: {how}"
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_report_header() -> list[str]:
    how_long = f"patience: {patience.SECONDS:.0f} s for each wait"
    under = [] if under_test.is_reference() else ["the scheduler under test:", *mine.table(under_test.own())]
    return [how_long, *under]


@pytest.fixture(scope="session")
def backends() -> Iterator[Servers]:
    with servers() as running:
        yield running


@pytest.fixture
def settings(backends: Servers) -> Iterator[Settings]:
    with backends.sandbox() as own:
        yield own


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[App]:
    """An app without a server: for calling pieces."""
    async with open_app(settings, under_test.parts()) as opened:
        yield opened


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[RunningApi]:
    """A running API server, without a worker: jobs stay queued until a test does something about them."""
    async with running_api(settings, under_test.parts()) as running:
        yield running


@pytest.fixture
async def stub(api: RunningApi) -> AsyncIterator["scheduler_pb2_grpc.SchedulerServiceAsyncStub"]:
    """A client of `api`."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{api.port}", DIRECT) as channel:
        yield scheduler_pb2_grpc.SchedulerServiceStub(channel)
