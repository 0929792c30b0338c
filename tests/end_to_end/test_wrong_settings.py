"""Every setting wrong, one after another, with all secrets set: no output of any command shows one of them."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, get_args

import pytest
from annotated_types import Ge, Gt, Le
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr
from scheduler.config import Settings

from tests.end_to_end.commands import clean_environment
from workbook.sandbox import Servers

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.of_reference,
    pytest.mark.skipif(sys.platform == "win32", reason="os.fork is POSIX"),
]

SECRET = "hunter2"
SERVERS = ("api", "worker", "up")
COMMANDS: dict[str, list[str]] = {
    **{name: [name] for name in SERVERS},
    "submit": ["submit", "noop"],
    "sql": ["sql", "SELECT 1"],
    "redis": ["redis", "PING"],
    "prune": ["prune", "--older-than", "9d"],
}


@dataclass(frozen=True)
class Case:
    """One variable with a value that is wrong, among others that are right."""

    variable: str
    value: str
    others: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.variable}={self.value}"


ADDRESSES = [
    f"postgresql://me:{SECRET}@[::1/x",
    f"postgresql://me:{SECRET}@nohost.invalid/x",
    f"postgresql://me:{SECRET}@127.0.0.1:1/x",
    f"postgresql://me:{SECRET}@127.0.0.1:port/x",
    f"postgresql://me:{SECRET}@127.0.0.1:99999/x",
    f"postgresql://me:{SECRET}@127.0.0.1:1/x?sslmode=often",
    f"postgresql://me:{SECRET}@127.0.0.1:1/x?nonsense=1",
    f"postgresql://me:some/{SECRET}@127.0.0.1:1/x",
    f"postgresql://me:1/{SECRET}@127.0.0.1:1/x",
    f"postgresql://me:some@{SECRET}@127.0.0.1:1/x",
    f"postgresql://me:%zz{SECRET}@127.0.0.1:1/x",
    f"postgresql:/me:{SECRET}@127.0.0.1:1/x",
    f"mysql://me:{SECRET}@127.0.0.1:1/x",
    f"host=127.0.0.1 port=1 password=a {SECRET}",
    f"host=127.0.0.1 port=x password={SECRET}",
    SECRET,
]
HOSTS = ["[::1", "nohost.invalid", "a b", "127.0.0.1:1", "http://127.0.0.1", "::1::1", "/nowhere"]
OF_COCKROACH = {
    "COCKROACHDB_HOST": HOSTS,
    "COCKROACHDB_USER": ["nobody", "'; DROP", "a b"],
    "COCKROACHDB_PASSWORD": [f"wrong-{SECRET}", f"a'b\\ {SECRET}"],
    "COCKROACHDB_DATABASE": ["nowhere", "a/b?c=d", " "],
    "COCKROACHDB_SSLMODE": ["often", "verify-full"],
    "COCKROACHDB_PORT": ["1"],
}
BY_HAND = {
    "DATABASE_URL": ADDRESSES,
    "DATABASE_POOLER": ["often"],
    "GRPC_HOST": HOSTS,
    "METRICS_HOST": HOSTS,
    "REDIS_HOST": HOSTS,
    "REDIS_PASSWORD": [f"wrong-{SECRET}"],
    "REDIS_PREFIX": ["a b"],
    "REDIS_PORT": ["1"],
    "REDIS_DB": ["999999"],
}
"""What no rule of `Settings` can know to be wrong."""


def out_of_bounds(name: str) -> list[str]:
    """Values that the rules of this setting refuse; none if it has no rules."""
    field = Settings.model_fields[name]
    kinds = [field.annotation, *get_args(field.annotation)]
    rules = [*field.metadata, *(rule for kind in kinds for rule in getattr(kind, "__metadata__", ()))]
    if not {int, float, bool} & {getattr(kind, "__origin__", kind) for kind in kinds}:
        return []
    found = ["x"]
    for rule in rules:
        match rule:
            case Ge(ge=limit):
                found.append(f"{limit - 1}")
            case Gt(gt=limit):
                found.append(f"{limit}")
            case Le(le=limit):
                found.append(f"{limit + 1}")
    return found


def cases() -> list[Case]:
    """All of them, made of the fields of `Settings`, so that a new one can't be forgotten."""
    found = []
    for name in Settings.model_fields:
        variable = name.upper()
        values = [*out_of_bounds(name), *BY_HAND.get(variable, []), *OF_COCKROACH.get(variable, [])]
        assert values, f"{variable}: which value is wrong?"
        found += [Case(variable, value) for value in values]
    return found


CASES = cases()


def environment_of(case: Case, settings: Settings) -> dict[str, str]:
    """All services and secrets right, and one variable wrong."""
    redis = settings.redis_address()
    database = conninfo_to_dict(settings.database_conninfo())
    # Only who looks for a database that is not there need not look for long.
    is_elsewhere = case.variable == "DATABASE_URL" or case.variable.startswith("COCKROACHDB_")
    names = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password", "DATABASE": "dbname"}
    return clean_environment(
        **{f"COCKROACHDB_{name}": str(database[key]) for name, key in names.items()},
        COCKROACHDB_SSLMODE="disable",
        **(
            {} if case.variable.startswith("COCKROACHDB_") else {"DATABASE_URL": settings.database_conninfo()}
        ),
        DATABASE_WAIT_SECONDS="0.2" if is_elsewhere else "60",
        REDIS_HOST=redis["host"],
        REDIS_PORT=str(redis["port"]),
        REDIS_PASSWORD=redis["password"],
        REDIS_DB=str(redis["db"]),
        GRPC_PORT="0",
        METRICS_PORT="0",
        SHUTDOWN_GRACE_SECONDS="1",
        SCHEDULER_ADDRESS="127.0.0.1:1",
    ) | {case.variable: case.value}


Outputs = dict[tuple[Case, str], dict[str, Any]]


@pytest.fixture(scope="module")
def outputs(backends: Servers) -> Outputs:
    """What each command says to each case, and its exit code."""
    by_hand = {*BY_HAND, *OF_COCKROACH}
    wanted = [
        (case, command) for case in CASES for command in (COMMANDS if case.variable in by_hand else SERVERS)
    ]
    with backends.sandbox() as settings:
        orders = [
            {"arguments": COMMANDS[command], "environment": environment_of(case, settings)}
            for case, command in wanted
        ]
        done = subprocess.run(
            [sys.executable, "-m", "tests.end_to_end.forked"],
            input=json.dumps(orders),
            capture_output=True,
            encoding="utf-8",
            timeout=500,
            check=True,
        )
    return dict(zip(wanted, json.loads(done.stdout), strict=True))


def secrets_of(case: Case, settings: Settings) -> set[str]:
    database, redis = conninfo_to_dict(settings.database_conninfo()), settings.redis_address()
    return {SECRET, str(database["password"]), str(redis["password"])}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_output_shows_a_secret_or_a_traceback(case: Case, outputs: Outputs, settings: Settings) -> None:
    for (one, command), said in outputs.items():
        if one == case:
            shown = [secret for secret in secrets_of(case, settings) if secret in said["output"]]
            assert not shown, f"scheduler {command}: {said['output']}"
            assert "Traceback" not in said["output"], f"scheduler {command}: {said['output']}"


def test_the_secrets_are_really_there(settings: Settings) -> None:
    """Or else not to find them would prove nothing."""
    environment = environment_of(Case("GRPC_PORT", "x"), settings)
    together = " ".join(environment.values())
    assert all(secret in together for secret in secrets_of(CASES[0], settings) - {SECRET})
    assert isinstance(settings.database_url, SecretStr)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_who_stumbles_over_a_setting_names_its_variable_and_ends_with_1_or_2(
    case: Case, outputs: Outputs
) -> None:
    for (one, command), said in outputs.items():
        if one == case and command in SERVERS and said["code"] != 0:
            assert said["code"] in (1, 2), f"scheduler {command}: {said}"
            assert case.variable in said["output"], f"scheduler {command}: {said['output']}"
