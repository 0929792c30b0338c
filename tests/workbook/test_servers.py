"""Tests have servers of their own unless asked to join, and one that goes away is one sentence."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scheduler import embedded

from tests.patience import SECONDS, until_sync
from tests.workbook.books import Book
from workbook import sandbox

WAITS = """
async def get_job(app, request, context):
    import asyncio
    from pathlib import Path

    Path("begun").touch()
    while not Path("gone").exists():
        await asyncio.sleep(0.01)
    return app.parts.job_to_status(None)
"""


@pytest.fixture
def up(book: Book, tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Embedded]:
    """What a `scheduler up` runs, in the folder that the book's commands look into."""
    folder = tmp_path_factory.mktemp("data")
    book.env["SCHEDULER_DATA"] = str(folder)
    with embedded.start(folder, durable=False) as started:
        yield started


def test_what_was_joined_and_goes_away_is_one_sentence(book: Book, up: embedded.Embedded) -> None:
    book.env["TEST_SERVERS"] = "joined"
    folder = book.add_real("02_getjob")
    with (folder / "get_job.py").open("a", encoding="utf-8") as file:
        file.write(WAITS)
    command = [sys.executable, "-m", "pytest", "-q", "chapters/02_getjob", "-k", "task_3"]
    run = subprocess.Popen(
        command,
        cwd=book.root,
        env=book.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    until_sync((book.root / "begun").exists, "the test began")
    up.close()
    (book.root / "gone").touch()
    out, _ = run.communicate(timeout=SECONDS)
    assert run.returncode not in (0, 3)
    assert "is gone, on which these tests ran (those of a `scheduler up`, which has ended)" in out
    assert "INTERNALERROR" not in out
    assert "Traceback" not in out
    assert out.count("✗") == 1
    assert not book.progress.exists() or '"passed": false' not in book.progress.read_text("utf-8")


def test_servers_of_a_running_scheduler_are_left_alone_unless_asked_for(
    up: embedded.Embedded, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_open", [])
    monkeypatch.setenv("SCHEDULER_DATA", book.env["SCHEDULER_DATA"])
    for name in ("TEST_DATABASE_URL", "TEST_SERVERS"):
        monkeypatch.delenv(name, raising=False)
    with sandbox.redis_servers() as own:
        assert own.services.redis_port != up.services.redis_port
    monkeypatch.setenv("TEST_SERVERS", "joined")
    with sandbox.servers() as joined:
        assert joined.services == up.services


def test_to_join_what_does_not_run_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_open", [])
    monkeypatch.setenv("SCHEDULER_DATA", str(tmp_path))
    monkeypatch.setenv("TEST_SERVERS", "joined")
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    with pytest.raises(embedded.EmbeddedError, match="no `scheduler up` runs to join"), sandbox.servers():
        pass
    monkeypatch.setenv("TEST_SERVERS", "all")
    with pytest.raises(embedded.EmbeddedError, match="may be own or joined"), sandbox.servers():
        pass


def test_a_proxy_for_the_web_is_no_way_to_the_scheduler(book: Book) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        book.env[name] = "http://127.0.0.1:9"
    book.env.pop("no_proxy", None)
    book.add_real("02_getjob")
    done = book.pytest("chapters/02_getjob", "-k", "task_3", "--implementation", "reference")
    assert done.returncode == 0, done.stdout
