"""`workbook doctor` names each broken thing, with its remedy."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from scheduler import embedded
from scheduler.embedded.records import running_record

from tests.patience import until_sync
from tests.workbook.books import REPOSITORY, Book
from workbook import checks, service_checks
from workbook.checks import Check

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def no_services(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A data folder in which nothing runs, and no addresses in the environment."""
    for name in ("DATABASE_URL", "COCKROACHDB_HOST", "REDIS_HOST"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "data"
    monkeypatch.setenv("SCHEDULER_DATA", str(folder))
    return folder


def test_a_healthy_machine_is_all_ticks_and_the_services_are_gone_afterwards(book: Book) -> None:
    book.add_small()
    _commit(book)
    data = book.root / ".data"
    book.env |= {"SCHEDULER_DATA": str(data), "GRPC_PORT": "0", "METRICS_PORT": "0"}
    done = book.process("doctor")
    assert done.returncode == 0, done.stdout
    lines = [line for line in done.stdout.splitlines() if line]
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["✓", name] for name in ("Python", "packages", "git", "progress", "data", *["port"] * 3, "services")
    ]
    assert lines[-2] == "  ✓ services   PostgreSQL and Redis have started, answered and stopped"
    assert lines[-1] == "  All is well."
    assert running_record(data, "postgres") is None
    assert running_record(data, "redis") is None


def test_python_too_old() -> None:
    check = checks.python((3, 10, 14))
    assert check.says == "3.10.14 is too old"
    assert check.remedy == "make a new .venv with Python 3.11 or newer"
    assert not checks.python((3, 11, 0)).remedy


def test_packages_that_are_missing_or_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["rich>=9999", "no-such-package>=1", 'winonly; sys_platform == "no-such-system"']
    monkeypatch.setattr(checks, "_requirements", lambda: wanted)
    check = checks.packages()
    assert check.says.startswith("rich is ")
    assert check.says.endswith(", and not >=9999, no-such-package is missing")
    assert check.remedy == checks.INSTALL


def test_git_that_is_not_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checks.git().says == "is not here"


def test_git_that_does_not_know_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    check = checks.git()
    assert check.says == "does not know this folder"
    assert check.remedy.startswith("git init")


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="needs root, to become somebody else"
)
def test_no_permission(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    monkeypatch.setenv("SCHEDULER_DATA", str(private / "data"))
    monkeypatch.setattr(checks, "FOLDER", private / ".workbook")
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        data, progress = checks.data_folder(), checks.progress_folder()
    finally:
        os.seteuid(0)
    assert data.says == f"{private / 'data'} can't be written (Permission denied)"
    assert data.remedy == "name a folder of your own: SCHEDULER_DATA=~/scheduler-data"
    assert progress.says == f"{private / '.workbook'} can't be written (Permission denied)"
    assert progress.remedy


def test_a_folder_below_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SCHEDULER_DATA", str(tmp_path / "file" / "data"))
    assert "can't be written (Not a directory)" in checks.data_folder().says


def test_a_small_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with _tiny_disk(tmp_path, monkeypatch) as folder:
        monkeypatch.setenv("SCHEDULER_DATA", str(folder))
        check = checks.data_folder()
    assert check.says == f"only 8 MB are free in {folder}"
    assert check.remedy == "make 300 MB free, or name a folder elsewhere with SCHEDULER_DATA"


def test_a_port_that_is_taken(no_services: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("GRPC_PORT", str(port))
        monkeypatch.setenv("METRICS_PORT", "0")
        first = next(service_checks.ports())
    assert first.name == f"port {port}"
    assert first.says == "for the API, can't be had (Address already in use)"
    assert f"GRPC_PORT={port + 1000} workbook serve" in first.remedy


def test_a_setting_that_is_none(no_services: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPC_PORT", "many")
    [check] = service_checks.ports()
    assert check.name == "settings"
    assert "GRPC_PORT" in check.says


def test_a_killed_server_is_noticed_while_the_other_runs_on(no_services: Path) -> None:
    with embedded.running(no_services, durable=False):
        assert not service_checks.services().remedy
        record = running_record(no_services, "postgres")
        assert record is not None
        os.kill(record.pid, signal.SIGKILL)
        until_sync(
            lambda: running_record(no_services, "postgres") is None, "the dead server's record is seen as one"
        )
        check = service_checks.services()
    assert check.says == "PostgreSQL has ended, and Redis runs on without it"
    assert check.remedy == "stop the scheduler that runs here (Ctrl-C), and start it again"


def test_an_address_where_nobody_answers(no_services: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody@127.0.0.1:{port}/none")
    monkeypatch.setenv("REDIS_HOST", "127.0.0.1")
    monkeypatch.setenv("REDIS_PORT", str(port))
    check = service_checks.services()
    assert "the database can't be reached" in check.says
    assert check.remedy


def test_services_are_not_tried_without_a_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "data_folder", lambda: Check("data", "is broken", "mend it"))
    monkeypatch.setattr(service_checks, "services", lambda: pytest.fail("they were tried"))
    assert list(service_checks.all_checks())[-1].says == "not tried without a data folder"


def test_what_is_wrong_is_counted_and_the_exit_code_is_1(book: Book) -> None:
    book.add_small()
    (book.root / ".workbook").touch()
    book.env |= {"SCHEDULER_DATA": str(book.root / "chapters" / "01_small" / "numbers.py"), "GRPC_PORT": "0"}
    done = book.process("doctor")
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line]
    assert lines[-1].endswith("things are wrong.")
    wrong = [number for number, line in enumerate(lines) if line.startswith("  ✗")]
    assert all(lines[number + 1].startswith("      → ") for number in wrong)
    assert {lines[number].split()[1] for number in wrong} >= {"git", "progress", "data", "services"}


@contextmanager
def _tiny_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk with 8 MB: a real one where we may mount one, else one that says so."""
    tiny = folder / "tiny"
    tiny.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8000k,nr_inodes=64", "tmpfs", str(tiny)]
    if shutil.which("mount") and subprocess.run(mount, capture_output=True, check=False).returncode == 0:
        try:
            yield tiny
        finally:
            subprocess.run(["umount", str(tiny)], check=True)
    else:
        monkeypatch.setattr(checks.shutil, "disk_usage", lambda path: Usage(8_000_000, 0, 8_192_000))
        yield tiny


def _commit(book: Book) -> None:
    shutil.copy(REPOSITORY / ".gitignore", book.root)
    name = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "the book"]):
        subprocess.run(["git", *name, *command], cwd=book.root, check=True, capture_output=True)
