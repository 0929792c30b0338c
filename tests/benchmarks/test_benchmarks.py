"""The benchmarks run, and report. No time is asserted, no other queue is needed, and nothing is downloaded."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from benchmarks.figures import MEASURES
from benchmarks.watches import Watches
from tests.patience import SECONDS
from workbook.sandbox import Servers

ROOT = Path(__file__).parents[2]
LITTLE = ["--jobs", "50", "--rounds", "1", "--seconds", "0.5"]


def run(backends: Servers, *options: str) -> "subprocess.CompletedProcess[str]":
    """`python -m benchmarks` with 50 jobs and one round, on the servers of the tests."""
    services = backends.services
    password = quote(services.redis_password, safe="")
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *LITTLE, *options],
        cwd=ROOT,
        env=os.environ
        | {
            "TEST_DATABASE_URL": services.database_url,
            "TEST_REDIS_URL": f"redis://:{password}@{services.redis_host}:{services.redis_port}",
        },
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="session")
def alone(backends: Servers, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, object]]:
    """A run of ours alone: what it prints, and its JSON."""
    file = tmp_path_factory.mktemp("benchmarks") / "figures.json"
    done = run(backends, "--queues", "ours", "--json", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, json.loads(file.read_text(encoding="utf-8"))


def test_prints_a_table_and_the_budgets(alone: tuple[str, dict[str, object]]) -> None:
    printed, _ = alone
    assert "ours, piece called" in printed
    assert "row and attempt" in printed
    assert "Budgets" in printed


def test_writes_every_figure_as_json(alone: tuple[str, dict[str, object]]) -> None:
    _, figures = alone
    measures = figures["queues"]["ours"]["measures"]  # type: ignore[index]
    assert set(measures) == {measure.name for measure in MEASURES}
    assert all(summary["median"] > 0 for summary in measures.values())


def test_a_broken_budget_is_told_and_gives_exit_code_1(backends: Servers, tmp_path: Path) -> None:
    budgets = tmp_path / "budgets.toml"
    budgets.write_text("[submit]\nours-grpc = 1000000\n[bulk]\nours-grpc = 0.000001\n", encoding="utf-8")
    done = run(backends, "--queues", "ours-grpc", "--budgets-file", str(budgets))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN: submit, 1 caller, ours ÷ ours-grpc is " in done.stdout
    assert "kept: bulk submit, ours ÷ ours-grpc is " in done.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--queues", "cellery"], "there is no queue cellery"),
        (["--budgets-file", "nowhere.toml"], "nowhere.toml can't be read"),
    ],
)
def test_a_mistake_is_named_and_gives_exit_code_2(backends: Servers, options: list[str], words: str) -> None:
    done = run(backends, *options)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.replace("│", " ").split())


def test_a_state_that_an_event_left_out_was_seen_with_it() -> None:
    watches = Watches()
    watches.note("job", 1)
    watches.note("job", 3)
    assert watches.came("job", 2) == watches.came("job", 3) < watches.came("job", 4) == math.inf
