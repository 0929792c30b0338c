"""compose.yaml: the real Compose accepts it, and what it says about the code is so."""

import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from scheduler.cli import running
from scheduler.config import Settings
from scheduler.server import METRICS_PORT as API_METRICS_PORT
from scheduler.worker.service import METRICS_PORT as WORKER_METRICS_PORT

from tests.patience import SECONDS

from .files import DEPLOY, PASSWORDS, PROFILES, ROOT, compose

SCHEDULER = ("api", "worker")
ONE_SHOT = {"cockroach-volumes", "cockroach-init"}
RUN_AS_USERS_BY_THEMSELVES = {"api", "worker", "balancer", "prometheus", "grafana"}
"""Their images name a user that is not root: ours does in its Dockerfile, the others are known for it."""

OUTSIDE_OF_SETTINGS = {"HANDLERS", "LOG_LEVEL", "LOG_FORMAT"}
OF_THE_IMAGES = {
    "postgres": {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"},
    "redis": {"REDIS_PASSWORD"},
    "grafana": {
        "GF_SECURITY_ADMIN_PASSWORD",
        "GF_USERS_ALLOW_SIGN_UP",
        "GF_ANALYTICS_REPORTING_ENABLED",
        "GF_ANALYTICS_CHECK_FOR_UPDATES",
        "GF_PLUGINS_PREINSTALL_DISABLED",
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH",
    },
}


@cache
def configuration(profile: str, **environment: str) -> dict[str, Any]:
    """compose.yaml as Compose understands it: anchors, profiles and variables resolved."""
    result = compose("--profile", profile, "config", "--format", "json", **PASSWORDS, **environment)
    assert result.returncode == 0, result.stderr
    read: dict[str, Any] = json.loads(result.stdout)
    return read


def services(profile: str) -> dict[str, dict[str, Any]]:
    return configuration(profile)["services"]  # type: ignore[no-any-return]


def all_services() -> dict[str, dict[str, Any]]:
    return {name: service for profile in PROFILES for name, service in services(profile).items()}


@pytest.mark.parametrize("profile", PROFILES)
def test_compose_accepts_the_profile(profile: str) -> None:
    result = compose("--profile", profile, "config", "-q", **PASSWORDS)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("missing", PASSWORDS)
def test_nothing_starts_without_a_password(missing: str) -> None:
    given = {name: value for name, value in PASSWORDS.items() if name != missing}
    result = compose("--profile", "postgres", "config", "-q", **given)
    assert result.returncode != 0
    assert missing in result.stderr


def test_each_profile_has_one_database_that_answers_to_the_same_name() -> None:
    names = {profile: set(services(profile)) for profile in PROFILES}
    common = names["postgres"] & names["cockroach"]
    assert names["postgres"] - common == {"postgres"}
    assert names["cockroach"] - common == ONE_SHOT | {"cockroach-1", "cockroach-2", "cockroach-3"}
    for name in ("postgres", "cockroach-1", "cockroach-2", "cockroach-3"):
        assert all_services()[name]["networks"]["data"]["aliases"] == ["database"]


@pytest.mark.parametrize("name", SCHEDULER)
def test_every_variable_is_a_setting_of_the_code(name: str) -> None:
    fields = {field.upper() for field in Settings.model_fields}
    assert set(services("postgres")[name]["environment"]) <= fields | OUTSIDE_OF_SETTINGS


def test_every_other_variable_is_one_that_its_image_knows() -> None:
    for name, service in all_services().items():
        if name not in SCHEDULER:
            assert set(service.get("environment") or {}) <= OF_THE_IMAGES.get(name, set()), name


@pytest.mark.parametrize("name", SCHEDULER)
def test_the_code_accepts_what_the_container_gets(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    for variable, value in services("postgres")[name]["environment"].items():
        monkeypatch.setenv(variable, value)
    settings = Settings.from_environment()
    assert settings.database_conninfo().startswith("postgresql://scheduler:of-the-database@database:5432/")
    assert settings.redis_address() == {"host": "redis", "port": 6379, "db": 0, "password": "of-redis"}
    assert settings.metrics_host == "0.0.0.0"
    assert running.load_handlers([]) == []


def test_numbers_that_are_not_set_are_the_code_s_defaults() -> None:
    for name in SCHEDULER:
        for variable, value in services("postgres")[name]["environment"].items():
            field = Settings.model_fields.get(variable.lower())
            if field is not None and isinstance(field.default, int | float):
                assert float(value) == field.default, variable


def test_every_port_is_the_code_s() -> None:
    api, worker = (services("postgres")[name]["environment"] for name in SCHEDULER)
    assert int(api["GRPC_PORT"]) == Settings.model_fields["grpc_port"].default
    assert int(api["METRICS_PORT"]) == API_METRICS_PORT
    assert int(worker["METRICS_PORT"]) == WORKER_METRICS_PORT
    balancer = (DEPLOY / "haproxy" / "haproxy.cfg").read_text("utf-8")
    assert f"bind :{api['GRPC_PORT']} proto h2" in balancer
    assert f"api:{api['GRPC_PORT']} proto h2" in balancer
    assert f"http-check connect port {API_METRICS_PORT}" in balancer


@pytest.mark.parametrize("profile", PROFILES)
def test_ports_are_published_on_this_machine_only(profile: str) -> None:
    published = {
        (name, port["host_ip"], port["published"])
        for name, service in services(profile).items()
        for port in service.get("ports", [])
    }
    here = "127.0.0.1"
    assert published == {
        ("balancer", here, "8081"),
        ("prometheus", here, "9090"),
        ("grafana", here, "3000"),
    }


@pytest.mark.parametrize("profile", PROFILES)
def test_the_database_and_redis_are_on_a_network_that_leads_nowhere(profile: str) -> None:
    assert configuration(profile)["networks"]["data"]["internal"] is True
    for name, service in services(profile).items():
        if name == "redis" or name.startswith(("postgres", "cockroach")):
            assert set(service.get("networks") or {}) <= {"data"}, name


def test_every_mounted_path_is_in_the_repository() -> None:
    for name, service in all_services().items():
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                source = Path(os.fsdecode(volume["source"].encode()))
                assert source.exists(), f"{name}: {volume['source']}"
                assert volume["read_only"], f"{name}: {volume['source']}"
            else:
                assert (
                    volume["source"]
                    in configuration("cockroach")["volumes"] | configuration("postgres")["volumes"]
                )


def test_paths_inside_grafana_and_prometheus_are_those_that_are_mounted() -> None:
    mounted = {volume["target"] for volume in services("postgres")["grafana"]["volumes"]}
    provider = (DEPLOY / "grafana/provisioning/dashboards/scheduler.yml").read_text("utf-8")
    path = re.search(r"path: (\S+)", provider)
    assert path is not None
    assert path[1] in mounted
    home = services("postgres")["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.startswith(path[1] + "/")
    assert (DEPLOY / "grafana" / "dashboards" / Path(home).name).exists()
    source = (DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text("utf-8")
    assert "url: http://prometheus:9090\n" in source


def test_whatever_serves_has_a_health_check_limits_and_a_restart() -> None:
    for name, service in all_services().items():
        if name not in ONE_SHOT:
            limits = service["deploy"]["resources"]["limits"]
            assert {"cpus", "memory"} <= set(limits), name
            assert service["restart"] == "unless-stopped", name
            # Ours is in the Dockerfile.
            assert name in SCHEDULER or service["healthcheck"]["test"], name


def test_nothing_runs_as_root_or_keeps_a_privilege() -> None:
    for name, service in all_services().items():
        assert service["cap_drop"] == ["ALL"], name
        if name == "cockroach-volumes":
            assert service["cap_add"] == ["CHOWN"]
            assert service["network_mode"] == "none"
        else:
            assert service.get("user", "0:0") != "0:0" or name in RUN_AS_USERS_BY_THEMSELVES, name
            assert not service.get("cap_add"), name


def test_the_start_waits_for_what_is_needed() -> None:
    def waits(profile: str, name: str) -> dict[str, str]:
        there = services(profile)
        needs = there[name].get("depends_on", {})
        return {other: how["condition"] for other, how in needs.items() if other in there}

    for name in SCHEDULER:
        assert waits("postgres", name) == {"postgres": "service_healthy", "redis": "service_healthy"}
        assert waits("cockroach", name) == {
            "cockroach-init": "service_completed_successfully",
            "redis": "service_healthy",
        }
    assert waits("cockroach", "cockroach-1") == {"cockroach-volumes": "service_completed_successfully"}
    assert set(waits("cockroach", "cockroach-init")) == {"cockroach-1", "cockroach-2", "cockroach-3"}
    assert waits("postgres", "balancer") == {"api": "service_healthy"}


def test_the_replicas_fit_into_the_hundred_connections_of_postgresql() -> None:
    api, worker = (services("postgres")[name] for name in SCHEDULER)
    replicas = api["deploy"]["replicas"] + worker["deploy"]["replicas"]
    assert api["deploy"]["replicas"] == 2
    # Three are kept for superusers, and a rolling start has an old and a new process for a moment.
    assert 2 * replicas * int(api["environment"]["DATABASE_POOL_SIZE"]) <= 97


def test_a_stop_gives_more_time_than_a_worker_takes() -> None:
    grace = Settings.model_fields["shutdown_grace_seconds"].default
    for name in SCHEDULER:
        assert int(services("postgres")[name]["stop_grace_period"].removesuffix("s")) > 2 * grace


def test_every_variable_of_compose_is_in_the_example_with_its_default() -> None:
    text = (ROOT / "compose.yaml").read_text("utf-8")
    used = dict(re.findall(r"\$\{([A-Z_]+)(?::-([^$}]*))?", text))
    shown = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))
    assert set(used) == set(shown)
    for name, default in used.items():
        assert default == shown[name] or name == "DATABASE_URL", name


# ── CockroachDB's first start ─────────────────────────────────────────────────────────────────────────────────────────

FAKE = """#!/bin/sh
echo "$*" >> "$SAID"
case $1 in
    init)
        if [ "$(grep -c '^init' "$SAID")" -lt "$UP_AT" ]; then echo "connection refused" >&2; exit 1; fi
        if [ "$MADE" = yes ]; then echo "ERROR: cluster has already been initialized" >&2; exit 1; fi ;;
esac
"""


@pytest.mark.parametrize("made", ["no", "yes"])
def test_the_cluster_is_made_once_however_often_it_starts(tmp_path: Path, made: str) -> None:
    fake, said = tmp_path / "cockroach", tmp_path / "said"
    fake.write_text(FAKE, "utf-8")
    fake.chmod(0o755)
    said.touch()
    result = subprocess.run(
        ["sh", DEPLOY / "cockroach" / "init.sh"],
        env={
            "PATH": os.environ["PATH"],
            "COCKROACH": str(fake),
            "SAID": str(said),
            "UP_AT": "2",
            "MADE": made,
        },
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    calls = said.read_text("utf-8")
    assert calls.count("init --insecure --host=cockroach-1:26257") == 2
    assert "CREATE DATABASE IF NOT EXISTS scheduler" in calls
    assert "--host=cockroach-1:5432" in calls
