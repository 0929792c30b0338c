"""What a test run or a notebook that is killed has left on servers that go on is swept by the next one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from redis import Redis

from tests.patience import end, until_sync
from workbook import left_over
from workbook.book import ROOT
from workbook.sandbox import Servers

# Another test run on the same servers, which is at work and does not end.
RUN = """
import json, sys
from workbook.sandbox import servers
with servers() as own, own.sandbox() as one:
    with own.sandbox() as other:
        print(json.dumps({"run": own.run, "index": other.redis_db}), flush=True)
        sys.stdin.read()
"""


@contextmanager
def another_run(backends: Servers) -> Iterator[tuple["subprocess.Popen[str]", Any]]:
    services = backends.services
    password = quote(services.redis_password, safe="")
    process = subprocess.Popen(
        [sys.executable, "-c", RUN],
        cwd=ROOT,
        env=os.environ
        | {
            "TEST_DATABASE_URL": services.database_url,
            "TEST_REDIS_URL": f"redis://:{password}@{services.redis_host}:{services.redis_port}",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        end(process)


@pytest.fixture
def maintenance(backends: Servers) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(backends.services.database_url, autocommit=True) as connection:
        yield connection


def databases(connection: "psycopg.Connection[Any]", run: str) -> list[str]:
    """The kinds of a run's databases."""
    return [name.split("_")[0] for name in left_over.databases(connection, run)]


def claims(backends: Servers, run: str) -> set[int]:
    with closing(backends._redis(0)) as redis:
        return {
            int(key.removeprefix(left_over.CLAIM.encode()))
            for key in redis.scan_iter(f"{left_over.CLAIM}*")
            if redis.get(key) == run.encode()
        }


def is_gone(connection: "psycopg.Connection[Any]", redis: Redis, run: str) -> bool:
    """Whether both servers have noticed that a run is dead."""
    held = connection.execute(left_over.HOLDERS, [left_over.OURS]).fetchall()
    names = {client["name"] for client in redis.client_list()}
    return (int(run, 16),) not in held and left_over.client_name(run) not in names


def test_what_a_killed_run_left_is_swept_and_what_a_living_one_uses_stays(
    backends: Servers, maintenance: "psycopg.Connection[Any]"
) -> None:
    with another_run(backends) as (killed, dead), another_run(backends) as (_, alive):
        with closing(backends._redis(dead["index"])) as redis:
            redis.set("left", "behind")
        for run in (dead["run"], alive["run"]):
            assert databases(maintenance, run) == ["template", "test", "test"]
            assert len(claims(backends, run)) == 2
        end(killed)
        with closing(backends._redis(0)) as redis:
            until_sync(
                lambda: is_gone(maintenance, redis, dead["run"]), "the servers noticed that it is dead"
            )

        left_over.sweep_databases(maintenance)
        backends.sweep()

        assert databases(maintenance, dead["run"]) == []
        assert claims(backends, dead["run"]) == set()
        with closing(backends._redis(dead["index"])) as redis:
            assert redis.get("left") is None
        assert databases(maintenance, alive["run"]) == ["template", "test", "test"]
        assert len(claims(backends, alive["run"])) == 2


def test_a_run_begins_with_a_sweep_and_ends_with_nothing_of_its_own(
    backends: Servers, maintenance: "psycopg.Connection[Any]"
) -> None:
    with another_run(backends) as (killed, dead):
        end(killed)
        with closing(backends._redis(0)) as redis:
            until_sync(
                lambda: is_gone(maintenance, redis, dead["run"]), "the servers noticed that it is dead"
            )
    with another_run(backends) as (second, next_one):
        assert databases(maintenance, dead["run"]) == []
        assert claims(backends, dead["run"]) == set()
        second.communicate()
        assert second.returncode == 0
    assert databases(maintenance, next_one["run"]) == []
    assert claims(backends, next_one["run"]) == set()


def test_a_claim_that_somebody_else_took_over_first_is_left_to_them(backends: Servers) -> None:
    with closing(backends._redis(0)) as redis:
        redis.set(f"{left_over.CLAIM}9999", backends.run)
        try:
            assert not left_over._taken_over(redis, f"{left_over.CLAIM}9999", b"deadbeef", backends.run)
            assert redis.get(f"{left_over.CLAIM}9999") == backends.run.encode()
        finally:
            redis.delete(f"{left_over.CLAIM}9999")
