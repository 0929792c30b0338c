"""Every notebook runs from its first cell to its last, on a fresh kernel, alone, and in any order."""

import os
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests import helpers
from tests.notebooks.running import NOTEBOOKS, Ran, left_behind, run, text_of

SEED = int(os.environ.get("WORKBOOK_NOTEBOOK_SEED") or helpers.SEED)
ORDER = random.Random(SEED).sample(NOTEBOOKS, len(NOTEBOOKS))

NOT_RUN = "Not run: there is no system yet. The card under the first cell says what to start."
PLOTS = {
    "01_redis_queues": 3,
    "02_jobs_in_the_database": 1,
    "03_watching": 3,
    "04_cancel_races": 2,
    "05_worker_and_retries": 2,
    "06_metrics": 3,
    "07_your_own": 4,
}


@pytest.fixture(scope="module", autouse=True)
def _say_the_order(request: pytest.FixtureRequest) -> None:
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        print(f"\nthe notebooks' order: WORKBOOK_NOTEBOOK_SEED={SEED}")


@pytest.mark.parametrize("path", ORDER, ids=lambda path: path.stem)
def test_runs_to_its_end(path: Path, tmp_path: Path) -> None:
    ran = run(path, tmp_path)  # raises if a cell does
    assert not [output for output in ran.outputs if output.output_type in ("error", "stream")]
    assert ran.plots == PLOTS[path.stem]
    assert not left_behind()


@pytest.fixture(scope="module")
def without_a_system(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Ran]:
    """Every notebook, run where nothing runs and nothing may be started; two at a time."""

    def run_one(path: Path) -> Ran:
        return run(path, tmp_path_factory.mktemp("ipython"), WORKBOOK_NOTEBOOK_JOIN_ONLY="1")

    with ThreadPoolExecutor(2) as threads:
        return dict(zip(NOTEBOOKS, threads.map(run_one, NOTEBOOKS), strict=True))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_shows_a_card_when_nothing_runs(path: Path, without_a_system: dict[Path, Ran]) -> None:
    ran = without_a_system[path]
    first, *others = ran.code
    assert "No scheduler is running yet" in text_of(first)
    assert "scheduler up" in text_of(first)
    # A cell that connects once more says it once more.
    skipped = [cell for cell in others if "nb.connect(" not in cell.source]
    assert {text_of(cell) for cell in skipped} == {NOT_RUN}
    assert not [output for output in ran.outputs if output.output_type == "error"]


def test_shows_a_card_when_servers_can_not_start(tmp_path: Path) -> None:
    in_the_way = tmp_path / "a file"
    in_the_way.touch()
    ran = run(NOTEBOOKS[0], tmp_path, SCHEDULER_DATA=str(in_the_way))
    assert "SCHEDULER_DATA" in text_of(ran.code[0])
    assert not [output for output in ran.outputs if output.output_type == "error"]
