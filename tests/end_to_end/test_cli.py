"""The `scheduler` command: what it prints, its exit codes, and what it leaves running, which is nothing."""

import asyncio
import os
import re
import shlex
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from scheduler.cli import processes
from scheduler.cli.app import app as command_line
from scheduler.config import Settings
from scheduler.jobs import Priority, Status, get_job_row
from scheduler.worker.one_job import Outcome
from scheduler.worker.service import running_worker
from typer.testing import CliRunner

from tests import under_test
from tests.end_to_end.client import claim, finish
from tests.end_to_end.commands import (
    SCHEDULER,
    clean_environment,
    environment_of,
    execute,
    grpcurl_path,
    is_alive,
    processes_with,
    scheduler,
    serving_command,
    until_gone,
)
from tests.helpers import submit, until, until_status

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals and ps, as these tests use them, are POSIX"),
]


@pytest.fixture
def environment(settings):
    """Commands started with this work on the test's own database and Redis."""
    return environment_of(settings)


@pytest.fixture
def client(api, environment):
    """Commands started with this also know the test's own API."""
    return {**environment, "SCHEDULER_ADDRESS": f"127.0.0.1:{api.port}"}


@pytest.fixture
async def worker(settings):
    async with running_worker(settings, under_test.parts()) as running:
        yield running


@pytest.fixture
def nowhere(tmp_path):
    """An environment without services: no address, and an empty data folder."""
    return clean_environment(SCHEDULER_DATA=str(tmp_path / "empty"))


@pytest.fixture
def folder():
    """A data folder that the embedded servers' account can reach, root or not."""
    path = Path(tempfile.mkdtemp(prefix="scheduler-cli-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


DEAD = Outcome(Status.DEADLETTER, "no more")


async def ended_job(app, outcome):
    """The id of a job whose only attempt has ended so."""
    task_id = await submit(app)
    (job,) = await claim(app, task_id)
    await finish(app, job, outcome)
    return task_id


# --- jobs


async def test_submit_prints_the_id_and_the_job_is_as_given(api, client):
    task_id = str(uuid4())
    done = await scheduler(
        client, "submit", "sleep", "--priority", "high", "--payload", '{"seconds": 1}',
        "--key", "k", "--max-attempts", "5", "--id", task_id,
    )  # fmt: skip
    assert (done.code, done.out, done.err) == (0, f"{task_id}\n", "")
    job = await get_job_row(api.app, UUID(task_id))
    assert (job.type, job.priority, job.payload) == ("sleep", Priority.HIGH, {"seconds": 1})
    assert (job.idempotency_key, job.max_attempts, job.status) == ("k", 5, Status.QUEUED)


@pytest.mark.needs_task("01_queue", 6)
async def test_submit_twice_with_one_key_prints_one_id_as_json_too(client):
    first = await scheduler(client, "submit", "noop", "--key", "k")
    second = await scheduler(client, "submit", "noop", "--key", "k", "--json")
    assert second.json == {"job_id": first.out.strip()}


async def test_a_payload_comes_from_a_file_or_from_standard_input(api, client, tmp_path):
    (tmp_path / "payload.json").write_text('{"from": "file"}', "utf-8")
    for argument, stdin, payload in (
        (f"@{tmp_path}/payload.json", "", {"from": "file"}),
        ("-", '{"from": "stdin"}', {"from": "stdin"}),
    ):
        done = await scheduler(client, "submit", "noop", "--payload", argument, stdin=stdin)
        assert (await get_job_row(api.app, UUID(done.out.strip()))).payload == payload


@pytest.mark.of_reference
async def test_submit_watch_follows_the_job_to_its_success(client, worker):
    done = await scheduler(client, "submit", "noop", "--watch")
    assert done.code == 0
    assert "succeeded   attempt 1 succeeded" in done.out


async def test_watch_prints_one_object_a_line_and_exits_with_1_if_the_job_did_not_succeed(client, worker):
    done = await scheduler(client, "submit", "always_fail", "--max-attempts", "2", "--watch", "--json")
    head, *events = done.json_lines
    assert done.code == 1
    assert {event["job_id"] for event in events} == {head["job_id"]}
    assert events[-1]["state"] == "deadletter"
    versions = [event["version"] for event in events]
    assert versions == sorted(set(versions))


@pytest.mark.needs_task("03_watchjob", 6)
async def test_watch_after_the_last_version_prints_nothing_and_exits_with_0(client, api):
    task_id = await ended_job(api.app, DEAD)
    done = await scheduler(client, "watch", str(task_id), "--after-version", "3")
    assert (done.code, done.out) == (0, "")


async def test_get_shows_a_job_to_people_and_to_programs(client, api):
    task_id = await ended_job(api.app, DEAD)
    shown = await scheduler(client, "get", str(task_id))
    assert re.search(r"^state +deadletter$", shown.out, re.MULTILINE)
    assert re.search(r"^attempts +1 of 3$", shown.out, re.MULTILINE)
    job = (await scheduler(client, "get", str(task_id).upper(), "--json")).json
    assert (job["job_id"], job["state"], job["priority"]) == (str(task_id), "deadletter", "default")
    assert (job["attempts"], job["max_attempts"], job["next_run_at"]) == (1, 3, None)
    assert job["last_error"] == "no more"
    assert job["finished_at"].endswith("Z")


async def test_list_shows_the_newest_first_and_says_that_there_are_more(client, api):
    ids = [str(await submit(api.app)) for _ in range(3)]
    done = await scheduler(client, "list", "--limit", "2")
    assert [line.split()[0] for line in done.out.splitlines()[1:]] == ids[:0:-1]
    assert "--all" in done.err
    assert [job["job_id"] for job in (await scheduler(client, "list", "--json")).json_lines] == ids[::-1]


async def test_list_pages_through_more_jobs_than_a_page_holds(client, api):
    await api.app.db.fetch_all(
        "INSERT INTO tasks (task_id, type) SELECT gen_random_uuid(), 'many' FROM generate_series(1, 2100)"
    )
    done = await scheduler(client, "list", "--all", "--json")
    assert len({job["job_id"] for job in done.json_lines}) == 2100
    assert len((await scheduler(client, "list", "--limit", "1001", "--json")).json_lines) == 1001


async def test_list_filters_compose(client, api):
    wanted = await submit(api.app, "sleep", priority=Priority.HIGH)
    await submit(api.app, "sleep")
    await submit(api.app, "noop", priority=Priority.HIGH)
    done = await scheduler(
        client, "list", "--type", "sleep", "--priority", "high", "--state", "queued", "--json"
    )
    assert [job["job_id"] for job in done.json_lines] == [str(wanted)]
    empty = await scheduler(client, "list", "--state", "failed")
    assert (empty.code, empty.out, empty.err) == (0, "", "No such jobs.\n")


async def test_cancel_exits_with_0_when_it_cancelled_and_with_1_when_the_job_had_ended(client, api):
    task_id = str(await submit(api.app))
    done = await scheduler(client, "cancel", task_id, "--json")
    assert (done.code, done.json) == (0, {"job_id": task_id, "cancelled": True})
    again = await scheduler(client, "cancel", task_id, "--json")
    assert (again.code, again.json) == (1, {"job_id": task_id, "cancelled": False})
    assert "had ended" in (await scheduler(client, "cancel", task_id)).sentence


async def test_requeue_queues_a_dead_letter_again_and_refuses_any_other_job(client, api):
    task_id = await ended_job(api.app, DEAD)
    done = await scheduler(client, "requeue", str(task_id), "--json")
    assert (done.code, done.json) == (0, {"job_id": str(task_id), "requeued": True})
    assert (await get_job_row(api.app, task_id)).status == Status.QUEUED
    again = await scheduler(client, "requeue", str(task_id))
    assert again.code == 1
    assert again.sentence


FAILURES = [
    (["get", "123e4567-e89b-12d3-a456-426614174000"], 1, "there is no job"),
    (["watch", "123e4567-e89b-12d3-a456-426614174000"], 1, "there is no job"),
    (["cancel", "not-an-id"], 1, "must be a UUID"),
    (["submit", "noop", "--payload", "{"], 1, "must be JSON"),
    (["submit", "noop", "--payload", "@/no/such/file"], 2, "can't be read"),
    (["call", "GetJob", "{"], 2, "not JSON"),
    (["call", "GetJob", '{"id": "x"}'], 2, "id"),
    (["call", "NoSuchMethod"], 2, "call --list"),
    (["call"], 2, "METHOD"),
    (["prune", "--older-than", "soon"], 2, "7d"),
]


AT_ONCE = 2
"""Processes that a test starts side by side: more would only wait for each other."""


@pytest.mark.of_reference
async def test_a_failure_is_one_sentence_and_an_exit_code(client):
    free = asyncio.Semaphore(AT_ONCE)

    async def fails(arguments):
        async with free:
            return await scheduler(client, *arguments)

    all_done = await asyncio.gather(*(fails(arguments) for arguments, _, _ in FAILURES))
    for done, (arguments, code, word) in zip(all_done, FAILURES, strict=True):
        assert (done.code, done.out) == (code, ""), arguments
        assert word in done.sentence


async def test_wrong_usage_exits_with_2(client):
    for arguments in (["get"], ["submit", "noop", "--priority", "urgent"], ["no-such-command"]):
        assert (await scheduler(client, *arguments)).code == 2


async def test_a_server_that_is_away_is_one_sentence_that_says_how_to_start_one():
    done = await scheduler(clean_environment(), "get", str(uuid4()), "--address", "127.0.0.1:1")
    assert done.code == 1
    assert "127.0.0.1:1" in done.sentence
    assert "scheduler up" in done.sentence


async def test_ctrl_c_ends_a_watch_with_130(client, api):
    task_id = await submit(api.app)
    async with serving_command(client, "watch", str(task_id)) as watch:
        await watch.until("queued")
        assert await watch.stops(signal.SIGINT) == 130


# --- looking inside


async def test_redis_answers_as_redis_cli_would_and_leaves_options_alone(client, api):
    task_id = await submit(api.app, priority=Priority.HIGH)
    assert (await scheduler(client, "redis", "LLEN", "q:high")).out == "(integer) 1\n"
    entry = f'{{"task_id":"{task_id}","type":"noop","priority":"high"}}'
    shown = await scheduler(client, "redis", "LRANGE", "q:high", "0", "-1")
    assert shown.out == '1) "{}"\n'.format(entry.replace('"', '\\"'))
    raw = await scheduler(client, "redis", "--raw", "LRANGE", "q:high", "0", "-1")
    assert raw.out == entry + "\n"
    refused = await scheduler(client, "redis", "LLEN")
    assert refused.code == 1
    assert refused.out.startswith("(error) ERR wrong number of arguments")


async def test_sql_answers_as_psql_would(client, api):
    task_id = await submit(api.app)
    done = await scheduler(client, "sql", "SELECT task_id, status, attempts FROM tasks")
    assert done.out == (
        f"               task_id                | status | attempts \n"
        f"--------------------------------------+--------+----------\n"
        f" {task_id} | queued |        0\n(1 row)\n\n"
    )
    insert = "INSERT INTO db_tx_effects (task_id, note) VALUES (gen_random_uuid(), 'x')"
    assert (await scheduler(client, "sql", stdin=insert)).out == "INSERT 0 1\n"
    rows = await scheduler(client, "sql", "--json", "SELECT type, attempts, finished_at FROM tasks")
    assert rows.json == [{"type": "noop", "attempts": 0, "finished_at": None}]


async def test_a_wrong_statement_shows_where_it_is_wrong_as_psql_does(client):
    done = await scheduler(client, "sql", "SELECT * FROM nope")
    assert done.code == 1
    assert done.err.splitlines() == [
        'ERROR:  relation "nope" does not exist',
        "LINE 1: SELECT * FROM nope",
        "                      ^",
    ]


async def test_prune_deletes_jobs_that_ended_long_ago_with_their_attempts_and_no_others(client, api):
    await ended_job(api.app, Outcome(Status.SUCCEEDED))
    young = await ended_job(api.app, Outcome(Status.SUCCEEDED))
    running = await submit(api.app)
    await claim(api.app, running)
    await api.app.db.fetch_all(
        "UPDATE tasks SET created_at = now() - interval '8 days', finished_at = finished_at - interval '8 days' "
        "WHERE task_id <> %s",
        [young],
    )
    done = await scheduler(client, "prune", "--older-than", "7d", "--json")
    assert (done.code, done.json) == (0, {"deleted": 1})
    left = await api.app.db.fetch_all("SELECT task_id FROM tasks ORDER BY created_at")
    assert [row["task_id"] for row in left] == [running, young]
    attempts = await api.app.db.fetch_all("SELECT task_id FROM task_attempts")
    assert [row["task_id"] for row in attempts] == [young]


@pytest.mark.of_reference
async def test_prune_takes_deleted_jobs_out_of_the_lists_of_dead_letters(client, api):
    old, young, requeued = [await ended_job(api.app, DEAD) for _ in range(3)]
    jobs = [await get_job_row(api.app, task_id) for task_id in (old, young, requeued)]
    api.app.hints.dead(jobs)
    redis = api.app.queue.redis
    await until(lambda: redis.llen("dlq:default"), "the dead letters are shown")
    await redis.lpush("dlq:default", b"no entry")
    await api.app.db.fetch_all("UPDATE tasks SET status = 'failed' WHERE task_id = %s", [requeued])
    await api.app.db.fetch_all(
        "UPDATE tasks SET created_at = now() - interval '8 days', finished_at = finished_at - interval '8 days' "
        "WHERE task_id = %s",
        [old],
    )
    assert (await scheduler(client, "prune", "--older-than", "7d")).out == "deleted 1 job\n"
    assert await redis.lrange("dlq:default", 0, -1) == [api.app.parts.encode_entry(jobs[1])]


@pytest.mark.of_reference
async def test_prune_works_while_redis_is_away_and_says_what_is_left(client, api):
    done = await scheduler({**client, "REDIS_PORT": "1"}, "prune", "--older-than", "7d")
    assert (done.code, done.out) == (0, "deleted 0 jobs\n")
    assert "dlq:*" in done.err


async def test_prune_goes_on_until_nothing_old_is_left(client, api):
    await api.app.db.fetch_all(
        "INSERT INTO tasks (task_id, type, status, pushed_at, created_at, finished_at) "
        "SELECT gen_random_uuid(), 'noop', 'cancelled', NULL, now() - interval '9 days', now() - interval '8 days' "
        "FROM generate_series(1, 2500)"
    )
    assert (await scheduler(client, "prune", "--older-than", "7d")).out == "deleted 2500 jobs\n"


@pytest.mark.parametrize(
    "arguments", [["redis", "PING"], ["sql", "SELECT 1"], ["prune", "--older-than", "1d"]]
)
async def test_where_nothing_runs_one_sentence_says_scheduler_up(nowhere, arguments):
    done = await scheduler(nowhere, *arguments)
    assert done.code == 1
    assert "scheduler up" in done.sentence


# --- serving


@pytest.mark.parametrize("command", ["api", "worker"])
@pytest.mark.parametrize("missing", ["DATABASE_URL", "REDIS_HOST"])
async def test_a_missing_address_is_an_error_that_names_the_variable(command, missing):
    addresses = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x", "REDIS_HOST": "127.0.0.1"}
    del addresses[missing]
    done = await scheduler(clean_environment(**addresses), command)
    assert done.code == 2
    assert done.sentence.startswith(f"{missing} is not set")


async def test_a_database_that_is_away_is_one_sentence_without_the_password(environment):
    away = {
        **environment,
        "DATABASE_URL": "postgresql://me:secret@127.0.0.1:1/x",
        "DATABASE_WAIT_SECONDS": "0.2",
    }
    done = await scheduler(away, "worker")
    assert done.code == 1
    assert "DATABASE_URL" in done.sentence
    assert "secret" not in done.err


@pytest.mark.parametrize("arguments", [["api"], ["api", "--processes", "2"]])
async def test_a_port_that_is_taken_is_one_sentence(environment, arguments):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = await scheduler({**environment, "GRPC_PORT": str(taken.getsockname()[1])}, *arguments)
    assert done.code == 2
    assert "GRPC_PORT" in done.sentence


@pytest.mark.parametrize("name", ["LOG_LEVEL", "LOG_FORMAT"])
async def test_a_wrong_word_for_the_logs_is_one_sentence(environment, name):
    done = await scheduler({**environment, name: "loud"}, "worker")
    assert done.code == 2
    assert name in done.sentence


async def test_a_module_of_handlers_that_can_not_be_imported_is_one_sentence_that_says_where(
    environment, tmp_path
):
    (tmp_path / "wrong_handlers.py").write_text("x = 1\ny = z\n", "utf-8")
    with_path = {**environment, "PYTHONPATH": str(tmp_path)}
    wrong = await scheduler(with_path, "worker", "--handlers", "wrong_handlers")
    assert wrong.code == 2
    assert "wrong_handlers.py, line 2" in wrong.sentence
    absent = await scheduler({**with_path, "HANDLERS": "no_such_module"}, "api")
    assert absent.code == 2
    assert "no_such_module" in absent.sentence


async def test_logs_in_a_pipe_are_json_lines_with_job_and_attempt(environment, app):
    task_id = await submit(app, "always_fail", max_attempts=1)
    async with serving_command(environment, "worker") as worker:
        line = await worker.until("deadletter")
        assert await worker.stops() == 0
    assert f'"job_id": "{task_id}"' in line
    assert '"attempt": 1' in line
    assert line.startswith('{"timestamp": ')


async def test_api_processes_share_one_port_and_drain_together(environment, settings):
    async with serving_command(environment, "api", "--processes", "2") as api:
        lines = await api.until_all("the API serves on", 2)
        addresses = {re.search(r"127\.0\.0\.1:\d+", line)[0] for line in lines}
        assert len(addresses) == 1, "both listen on the same port"
        metrics = [re.search(r"metrics on port (\d+)", line)[1] for line in lines]
        async with httpx.AsyncClient(trust_env=False) as web:
            for port in metrics:
                assert (await web.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
        done = await scheduler({**environment, "SCHEDULER_ADDRESS": addresses.pop()}, "submit", "noop")
        assert done.code == 0
        assert await api.stops() == 0


async def test_processes_end_with_the_one_that_started_them_kill_9_included(environment):
    async with serving_command(environment, "worker", "--processes", "2") as worker:
        await worker.until("the worker runs", times=2)
        children = children_in(worker.text)
        os.kill(worker.pid, signal.SIGKILL)
        await until_gone(children)


async def test_a_process_that_dies_is_started_again_and_the_others_work_on(environment, app):
    async with serving_command(environment, "worker", "--processes", "2") as worker:
        await worker.until("the worker runs", times=2)
        killed, other = children_in(worker.text)
        os.kill(killed, signal.SIGKILL)
        await worker.until(f"process {killed} ended by itself (signal 9)")
        assert is_alive(other)
        await until_status(app, await submit(app), Status.SUCCEEDED)
        again = int(re.search(r"started process (\d+) again", await worker.until("started process"))[1])
        await worker.until("the worker runs", times=3)
        assert await worker.stops() == 0
        await until_gone([other, again])


async def test_what_is_wrong_from_the_start_ends_all_processes_with_one_exit_code(environment):
    away = {
        **environment,
        "DATABASE_URL": "postgresql://me@127.0.0.1:1/x",
        "DATABASE_WAIT_SECONDS": "0.2",
    }
    async with serving_command(away, "worker", "--processes", "2") as worker:
        assert await worker.ends() == 1
        assert "started process" not in worker.text


async def test_the_metrics_ports_of_several_processes_are_one_more_for_each_and_none_is_the_other_role_s():
    def ports(name, **settings):
        return [
            processes._metrics_port(name, index, Settings.from_environment(**settings)) for index in range(3)
        ]

    assert ports("api") == [2112, 2201, 2202]
    assert ports("worker") == [2113, 2114, 2115]
    assert ports("api", metrics_port=9100) == ports("worker", metrics_port=9100) == [9100, 9101, 9102]
    assert ports("api", metrics_port=0) == [0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "variables", "named"),
    [
        (["api", "--processes", "2"], {"METRICS_PORT": "65535"}, "METRICS_PORT"),
        (["up"], {"METRICS_PORT": "65535"}, "METRICS_PORT"),
        (["api", "--processes", "2"], {"GRPC_HOST": "nohost.invalid"}, "GRPC_HOST"),
        (["api"], {"GRPC_HOST": "nohost.invalid"}, "GRPC_HOST"),
        (["api"], {"GRPC_HOST": "192.0.2.1"}, "GRPC_HOST"),
        (["api"], {"METRICS_HOST": "192.0.2.1"}, "METRICS_HOST"),
        (["worker"], {"HANDLERS": "no_such_module"}, "HANDLERS"),
    ],
)
async def test_where_it_can_not_listen_the_sentence_names_the_variable(
    environment, arguments, variables, named
):
    done = await scheduler({**environment, **variables}, *arguments)
    assert done.code == 2
    assert done.sentence.startswith(named)


@pytest.mark.parametrize("request_text", ["null", "[]", "1", '"x"', "true", "[" * 100_000, "", "{} {}"])
async def test_a_request_that_is_no_object_is_one_sentence(client, request_text):
    done = await scheduler(client, "call", "SubmitJob", "-", stdin=request_text)
    assert done.code == 2
    assert done.sentence


@pytest.mark.parametrize("arguments", [["submit", b"a\xff"], ["get", b"\xff"], ["call", "GetJob", b"\xff"]])
async def test_an_argument_that_is_not_utf_8_is_one_sentence(client, arguments):
    done = await scheduler(client, *arguments)
    assert done.code == 2
    assert "UTF-8" in done.sentence


async def test_a_variable_that_is_not_utf_8_is_one_sentence_that_names_it(client):
    done = await scheduler({**client, "SCHEDULER_ADDRESS": "\udcff:1"}, "get", str(uuid4()))
    assert done.code == 2
    assert done.sentence.startswith("SCHEDULER_ADDRESS")


SIGNALLED = """
import os, runpy, signal, sys
module, number = sys.argv[1], getattr(signal, sys.argv[2])
class Signals:
    def find_spec(self, name, path, target=None):
        if name == module:
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Signals())
sys.argv[1:] = sys.argv[3:]
runpy.run_module("scheduler", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize(
    "module", ["scheduler.cli.app", "typer", "grpc", "pydantic", "scheduler.server", "psycopg"]
)
async def test_a_signal_during_the_first_seconds_ends_it_without_a_traceback(environment, name, module):
    code = [sys.executable, "-c", SIGNALLED, module, name, "api"]
    done = await execute(code, environment)
    assert done.code in (130, -signal.SIGTERM, 0)


def children_in(text):
    return [int(pid) for pid in re.search(r"started 2 processes: (\d+), (\d+)", text).groups()]


# --- everything


async def test_up_shows_jobs_at_work_prints_commands_that_work_and_leaves_nothing_running(folder):
    environment = clean_environment(SCHEDULER_DATA=str(folder), GRPC_PORT="0", METRICS_PORT="0")
    async with serving_command(environment, "up", "--demo") as up:
        await up.until("Serving.")
        states = {tuple(line.split()[2:5:2]) for line in up.lines if re.match(r" *\d+\.\d\d s  ", line)}
        assert states >= {
            ("noop", "succeeded"),
            ("db_tx", "succeeded"),
            ("sleep", "succeeded"),
            ("flaky", "retry"),
            ("flaky", "succeeded"),
            ("always_fail", "deadletter"),
            ("http_call", "failed"),
            ("sleep", "cancelled"),
        }
        await run_as_printed(up.lines[up.lines.index("Try next, in another terminal:") :], environment)
        assert await up.stops(signal.SIGINT) == 0
        assert up.lines[-1] == "Stopped."
    assert await processes_with(str(folder)) == []


async def run_as_printed(lines, environment):
    """Run each command among the demo's last words. A watch goes on until the cancel that comes after it."""
    printed = [
        line
        for line in lines
        if line.startswith("grpcurl ") or re.match(r"\S*(python\S* -m )?scheduler ", line)
    ]
    assert len(printed) == 14
    running = {}
    for line in printed:
        command = as_run_here(shlex.split(line))
        if command is not None:
            running[line] = asyncio.create_task(execute(command, environment))
            if "watch" not in line.lower():
                await running[line]
    codes = {line: (await task).code for line, task in running.items()}
    # The job has been cancelled by then, and `scheduler` says so with its exit code.
    refused = {line for line in codes if "scheduler watch" in line or "scheduler cancel" in line}
    assert {line: code for line, code in codes.items() if code != 0 and line not in refused} == {}


def as_run_here(words):
    """A printed command with the programs of this test run; None if there is no grpcurl."""
    if words[0] == "grpcurl":
        return [grpcurl_path(), *words[1:]] if grpcurl_path() else None
    name = next(position for position, word in enumerate(words) if Path(word).name == "scheduler")
    return [*SCHEDULER, *words[name + 1 :]]


NAMES = sorted(one.name or one.callback.__name__ for one in command_line.registered_commands)


@pytest.mark.parametrize("name", NAMES)
def test_help_is_there_for_each_command(name):
    done = CliRunner().invoke(command_line, [name, "--help"])
    assert done.exit_code == 0
    assert "Usage:" in done.output
    assert "--help" in done.output


async def test_a_client_command_imports_nothing_that_only_a_server_needs():
    heavy = ["pydantic", "psycopg", "redis", "uvloop", "structlog", "httpx", "rich.live"]
    code = f"import sys, scheduler.cli.app; print([name for name in {heavy} if name in sys.modules])"
    assert (await execute([sys.executable, "-c", code], clean_environment())).out == "[]\n"
