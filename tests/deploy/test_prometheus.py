"""The rules and the scrape configuration: right in themselves, and about metrics that the code exports."""

import re

import pytest
from scheduler.server import METRICS_PORT as API_METRICS_PORT
from scheduler.worker.service import METRICS_PORT as WORKER_METRICS_PORT

from .files import DEPLOY, exposition, tool, yaml_of
from .promql import read

FOLDER = DEPLOY / "prometheus"
FROM_PROMETHEUS = {"up": set()}
FROM_SCRAPING = {"job", "instance"}


def rules() -> list[dict[str, object]]:
    return [rule for group in yaml_of(FOLDER / "rules.yml")["groups"] for rule in group["rules"]]


def recorded() -> dict[str, set[str]]:
    """The series that the rules record, and the labels that are left of each."""
    found: dict[str, set[str]] = {}
    for rule in rules():
        if "record" in rule:
            reading = read(str(rule["expr"]))
            assert reading.aggregates, f"{rule['record']} is no aggregate: nothing is gained by recording it"
            found[str(rule["record"])] = reading.grouped
    return found


def alerts() -> dict[str, dict[str, str]]:
    return {str(rule["alert"]): rule for rule in rules() if "alert" in rule}  # type: ignore[misc]


def assert_all_exist(expression: str, where: str) -> None:
    """Every series that the expression names is exported or recorded, and has the labels that it asks for."""
    known = {**exposition(), **recorded(), **FROM_PROMETHEUS}
    reading = read(expression)
    labels: set[str] = set()
    for name in reading.series:
        assert name in known, f"{where}: nothing exports {name}"
        here = known[name] if name in recorded() else known[name] | FROM_SCRAPING
        assert reading.matched[name] <= here, f"{where}: {name} has no label {reading.matched[name] - here}"
        labels |= here
    assert reading.grouped <= labels, f"{where}: no series there has the label {reading.grouped - labels}"


def test_promtool_accepts_the_configuration() -> None:
    result = tool("promtool", "check", "config", FOLDER / "prometheus.yml")
    assert result.returncode == 0, result.stdout + result.stderr


def test_promtool_accepts_the_rules() -> None:
    result = tool("promtool", "check", "rules", FOLDER / "rules.yml")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_tests_of_the_rules_pass() -> None:
    result = tool("promtool", "test", "rules", FOLDER / "rules_test.yml")
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_is_proven_to_fire_and_to_be_silent() -> None:
    fires, silent = set(), set()
    for test in yaml_of(FOLDER / "rules_test.yml")["tests"]:
        for check in test["promql_expr_test"]:
            if name := re.search(r'alertname="(\w+)"', check["expr"]):
                (fires if check["exp_samples"] else silent).add(name[1])
    assert fires == silent == set(alerts())


def test_every_rule_asks_for_series_and_labels_that_exist() -> None:
    for rule in rules():
        assert_all_exist(str(rule["expr"]), str(rule.get("alert") or rule.get("record")))


def test_every_alert_says_what_is_wrong_and_what_to_look_at_first() -> None:
    for name, rule in alerts().items():
        assert set(rule["annotations"]) == {"summary", "look_at"}, name
        assert rule["labels"]["severity"] in {"critical", "warning"} or "{{" in rule["labels"]["severity"], (
            name
        )


def test_an_alert_names_only_labels_that_its_expression_leaves() -> None:
    known = {**exposition(), **recorded(), **FROM_PROMETHEUS}
    for name, rule in alerts().items():
        reading = read(rule["expr"])
        left = reading.grouped if reading.aggregates else set[str]()
        if not reading.aggregates:
            for series in reading.series:
                left |= known[series] | (set() if series in recorded() else FROM_SCRAPING)
        named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        assert named <= left, f"{name} names {named - left}"


def test_the_alerts_stand_in_the_manual() -> None:
    manual = (DEPLOY.parent / "docs" / "deploy.md").read_text("utf-8")
    assert set(re.findall(r"`(Scheduler[A-Z]\w+)`", manual)) == set(alerts())


@pytest.mark.parametrize(("job", "port"), [("api", API_METRICS_PORT), ("worker", WORKER_METRICS_PORT)])
def test_the_replicas_are_scraped_where_the_code_listens(job: str, port: int) -> None:
    (found,) = [one for one in yaml_of(FOLDER / "prometheus.yml")["scrape_configs"] if one["job_name"] == job]
    assert [(one["names"], one["port"]) for one in found["dns_sd_configs"]] == [([job], port)]
