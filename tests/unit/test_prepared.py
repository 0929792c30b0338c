"""A prepared process can't be told from one that begins at the beginning."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import prepared
from tests.patience import SECONDS, end, until_sync

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is prepared")

PROGRAM = """
import json, os, sys
seen = {
    "arguments": sys.argv, "folder": os.getcwd(), "umask": os.umask(0o22), "environment": dict(os.environ),
    "name": __name__, "path": sys.path[0], "loaded": "scheduler" in sys.modules, "standard input": sys.stdin.read(),
    "encodings": [sys.stdin.encoding, sys.stdout.encoding, sys.stderr.errors], "group": os.getsid(0),
}
print(json.dumps(seen))
print("grüße", file=sys.stderr)
sys.exit(7)
"""
WAITING = """
import os, sys, time
try:
    print(os.getpid(), flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    sys.exit(3)
"""
STOPS = [(signal.SIGINT, 3), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)]


def script(folder: Path, text: str) -> str:
    (folder / "program.py").write_text(text, "utf-8")
    return str(folder / "program.py")


def result(command: list[str], **options: Any) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        command,
        input="typed",
        capture_output=True,
        encoding="latin-1",
        timeout=SECONDS,
        check=False,
        **options,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.parametrize(
    "of_python", [{}, {"PYTHONUNBUFFERED": "1"}, {"PYTHONIOENCODING": "latin-1:replace"}]
)
def test_it_has_what_its_caller_gave_it_and_ends_as_it_says(
    tmp_path: Path, of_python: dict[str, str]
) -> None:
    env = {**os.environ, "GIVEN": "ä", **of_python}
    words = [script(tmp_path, PROGRAM), "--one", "two three"]
    begun = result(prepared.python(env, *words), cwd=tmp_path, env=env, umask=0o77)
    assert begun == result([sys.executable, *words], cwd=tmp_path, env=env, umask=0o77)
    assert begun[0] == 7
    assert begun[1]["umask"] == 0o77
    assert not begun[1]["loaded"], "the scheduler is to be imported by the command itself"


def test_a_failure_has_its_traceback_and_code_1(tmp_path: Path) -> None:
    command = prepared.python(dict(os.environ), script(tmp_path, "1 / 0"))
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=SECONDS, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize(("number", "code"), STOPS, ids=lambda value: str(value))
def test_a_signal_reaches_it_and_kill_9_does_too(tmp_path: Path, number: int, code: int) -> None:
    command = prepared.python(dict(os.environ), script(tmp_path, WAITING))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")
    try:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(number)
        assert process.wait(SECONDS) == code
        until_sync(lambda: not psutil.pid_exists(pid), "the command itself ended")
    finally:
        end(process)


def test_what_python_reads_at_its_start_is_read_by_a_python_that_starts(tmp_path: Path) -> None:
    prepared_for = dict(os.environ)
    env = {**prepared_for, "PYTHONPATH": str(tmp_path)}
    (tmp_path / "given.py").write_text("print('found')", "utf-8")
    command = prepared.python(prepared_for, "-m", "given")
    done = subprocess.run(
        command, env=env, capture_output=True, encoding="utf-8", timeout=SECONDS, check=False
    )
    assert done.stdout == "found\n"


def test_the_process_that_forks_ends_with_us(tmp_path: Path) -> None:
    one = prepared.Prepared(dict(os.environ))
    (server,) = [child for child in psutil.Process().children() if str(one.folder) in child.cmdline()[-1]]
    one.close()
    until_sync(lambda: not server.is_running(), "it ended")
    assert not one.folder.exists()
