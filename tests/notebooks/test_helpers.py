"""The sums that the notebooks do, and what is refused in one sentence."""

import asyncio
import importlib
import math
from types import ModuleType
from typing import Any

import pytest
from scheduler.config import Settings
from scheduler.server import RunningApi


# Not imported above: each process of a test run reads this file, and pandas and matplotlib take a second.
@pytest.fixture
def pd() -> ModuleType:
    return importlib.import_module("pandas")


@pytest.fixture
def nb() -> ModuleType:
    return importlib.import_module("workbook.notebook")


def test_a_rate_is_the_rise_in_a_second(nb: ModuleType, pd: ModuleType) -> None:
    rates = nb.rate(pd.Series({0.0: 10.0, 0.5: 15.0, 1.0: 25.0, 1.5: 25.0}))
    assert rates.dropna().to_dict() == {1.0: 15.0, 1.5: 10.0}


def test_a_rate_survives_a_restart(nb: ModuleType, pd: ModuleType) -> None:
    rates = nb.rate(pd.Series({0.0: 100, 1.0: 110, 2.0: 4, 3.0: 14}))
    assert rates.dropna().to_list() == [10, 4, 10]


def test_a_quantile_is_on_a_straight_line_within_its_bucket(nb: ModuleType, pd: ModuleType) -> None:
    cumulative = pd.Series({0.1: 0.0, 1.0: 50.0, 2.0: 100.0, math.inf: 100.0})
    assert nb.quantile(cumulative, 0.25) == pytest.approx(0.55)
    assert nb.quantile(cumulative, 0.5) == pytest.approx(1.0)
    assert nb.quantile(cumulative, 0.95) == pytest.approx(1.9)


def test_a_quantile_beyond_the_last_bound_is_that_bound(nb: ModuleType, pd: ModuleType) -> None:
    assert nb.quantile(pd.Series({1.0: 1.0, math.inf: 100.0}), 0.95) == 1.0


def test_a_quantile_of_nothing_is_unknown(nb: ModuleType, pd: ModuleType) -> None:
    assert math.isnan(nb.quantile(pd.Series({1.0: 0.0, math.inf: 0.0}), 0.5))


def test_tests_are_in_a_hurry_and_readers_are_not(monkeypatch: pytest.MonkeyPatch, nb: ModuleType) -> None:
    monkeypatch.setenv("WORKBOOK_NOTEBOOK_QUICK", "1")
    assert nb.quick()
    assert nb.size(100, 10) == 10
    monkeypatch.delenv("WORKBOOK_NOTEBOOK_QUICK")
    assert nb.size(100, 10) == 100


def test_an_error_is_one_sentence(nb: ModuleType) -> None:
    assert nb.NotebookError("That is so.")._render_traceback_() == ["That is so."]


def test_a_time_line_names_its_jobs(nb: ModuleType, pd: ModuleType) -> None:
    changes = pd.DataFrame(
        {
            "job": ["12345678", "12345678"],
            "version": [1, 2],
            "state": ["queued", "cancelled"],
            "attempts": [0, 0],
            "t": [0.0, 1.0],
        }
    )
    figure = nb.plot_timeline(changes, names={"12345678-0000": "mine"})
    assert figure is not None
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["mine"]
    assert axes.get_xlabel() == "seconds since the first change"


def test_without_a_system_there_is_a_sentence_in_plain_python(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object, nb: ModuleType
) -> None:
    monkeypatch.setenv("SCHEDULER_DATA", str(tmp_path))
    monkeypatch.setenv("WORKBOOK_NOTEBOOK_JOIN_ONLY", "1")
    for name in ("DATABASE_URL", "REDIS_HOST", "SCHEDULER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(nb.NotConnected):
        nb.connect(own=True)


async def test_what_is_done_once_the_watches_have_begun_is_watched_from_the_beginning(
    api: RunningApi, settings: Settings, nb: ModuleType
) -> None:
    """Else the ends of some jobs come before their watches on a slow machine, and the news looks late."""

    def watched() -> tuple[list[str], Any, int]:
        system = nb.System.joined(settings, f"127.0.0.1:{api.port}")
        begun: list[None] = []

        def end_all() -> None:
            begun.append(None)
            for job in jobs:
                assert system.cancel(job)

        jobs = system.submit("sleep", 5, payload={"seconds": 600})
        events = system.watch(*jobs, begun=end_all)
        ended = system.watch(
            *jobs, after_version=int(events["version"].max()), begun=lambda: begun.append(None)
        )
        assert ended.empty
        system.close()
        return jobs, events, len(begun)

    jobs, events, begun = await asyncio.to_thread(watched)
    assert begun == 2, "once for each call, also where no event comes"
    for job in jobs:
        assert events[events["job"] == job[:8]]["state"].to_list() == ["queued", "cancelled"]
