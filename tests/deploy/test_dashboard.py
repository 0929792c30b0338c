"""The Grafana dashboard: every query is about what the code exports, and is PromQL."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .files import DEPLOY, exposition, tool, yaml_of
from .promql import read
from .test_prometheus import FROM_PROMETHEUS, FROM_SCRAPING, alerts, assert_all_exist, recorded

GRAFANA = DEPLOY / "grafana"
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "scheduler.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]


def _with_a_range(expression: str) -> str:
    return expression.replace("$__rate_interval", "1m")


def _uids(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "datasource" in part:
            yield part["datasource"]["uid"]
        for inner in part.values():
            yield from _uids(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _uids(inner)


def test_the_rows_are_those_of_a_job_s_life() -> None:
    rows = [panel["title"].partition(":")[0] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["At a glance", "Intake", "Queues", "Running", "Outcomes", "RPCs", "Processes"]


def test_no_two_panels_share_an_id_or_a_place() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        squares = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not taken & squares, panel["title"]
        taken |= squares


def test_the_only_data_source_is_the_one_that_is_provisioned() -> None:
    (source,) = yaml_of(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    assert set(_uids(DASHBOARD)) == {source["uid"]}
    assert all(target["datasource"]["uid"] == source["uid"] for _, target in QUERIES)


@pytest.mark.parametrize(("title", "target"), QUERIES, ids=[f"{title}-{t['refId']}" for title, t in QUERIES])
def test_a_query_asks_for_series_and_labels_that_exist(title: str, target: dict[str, Any]) -> None:
    expression = _with_a_range(target["expr"])
    if expression.startswith("count(ALERTS"):
        return  # the one series that Prometheus writes itself
    assert_all_exist(expression, title)
    reading = read(expression)
    known = {**exposition(), **recorded(), **FROM_PROMETHEUS}
    left = reading.grouped - {"le"}
    if not reading.aggregates:
        for name in reading.series:
            left |= known[name] | (set() if name in recorded() else FROM_SCRAPING)
    named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    assert named <= left, f"{title}: the legend names {named - left}"


def test_everything_that_the_scheduler_exports_is_on_the_dashboard() -> None:
    families = {
        re.sub(r"_(bucket|sum|count|created)$", "", name)
        for name in exposition()
        if name.startswith("scheduler_") and not name.endswith("_created")
    }
    rules = "\n".join(str(rule["expr"]) for rule in _recordings())
    shown = "\n".join(target["expr"] for _, target in QUERIES) + rules
    assert {name for name in families if name not in shown} == set()


def _recordings() -> list[dict[str, Any]]:
    groups = yaml_of(DEPLOY / "prometheus" / "rules.yml")["groups"]
    return [rule for group in groups for rule in group["rules"] if "record" in rule]


def test_promtool_accepts_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": _with_a_range(target["expr"])}
        for number, (_, target) in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}), "utf-8")
    result = tool("promtool", "check", "rules", file)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_light_reading_finds_what_is_wrong() -> None:
    with pytest.raises(AssertionError, match="nothing exports scheduler_jobs_lost_total"):
        assert_all_exist("sum(rate(scheduler_jobs_lost_total[5m]))", "a panel")
    with pytest.raises(AssertionError, match=r"no label \{'colour'\}"):
        assert_all_exist('scheduler_queue_depth{colour="red"}', "a panel")
    with pytest.raises(AssertionError, match=r"has the label \{'type'\}"):
        assert_all_exist("sum by (type) (scheduler_queue_depth)", "a panel")
    assert len(alerts()) > 10
