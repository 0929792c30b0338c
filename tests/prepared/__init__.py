"""Commands as processes of their own, without the time that Python needs to import what all of them import.

Most of what a short command costs is reading grpc, psycopg, redis and typer. One process has read them, and forks for
each command. Such a child has arguments, environment, folder and streams of its own, imports the scheduler itself as
always, and ends as any Python does. Who starts it has a small process in its place, which passes signals on and ends
with its exit code. Where that could be told from the real thing, the small process becomes the real thing.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.prepared.client import decided_at_start

HERE = Path(__file__).parent
SOCKET = "socket"


class Prepared:
    """The process that forks. It ends with the process that started it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="prepared-"))
        self._process = subprocess.Popen(
            [sys.executable, HERE / "server.py", self.folder / SOCKET],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment, "GRPC_VERBOSITY": "NONE"},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "it ended before it was ready"

    def python(self, *words: str) -> list[str]:
        """What to run instead of `python …`: `-m` and a module, or a script."""
        return [sys.executable, "-I", "-S", str(HERE / "client.py"), str(self.folder / SOCKET), *words]

    def close(self) -> None:
        self._process.communicate()
        shutil.rmtree(self.folder)


_prepared: dict[str, Prepared] = {}


def python(environment: dict[str, str], *words: str) -> list[str]:
    """A command line that does what `python …` does in this environment."""
    if sys.platform in ("win32", "darwin") or (words[0].startswith("-") and words[0] != "-m"):
        return [sys.executable, *words]  # no fork or no safe one; other options are for the start of Python
    kind = json.dumps(decided_at_start(environment), sort_keys=True)
    if kind not in _prepared:
        _prepared[kind] = Prepared(environment)
    return _prepared[kind].python(*words)


@pytest.fixture(scope="session", autouse=True)
def prepared_ends() -> Iterator[None]:
    """Here, not at exit: what a session leaves behind is looked for before."""
    yield
    while _prepared:
        _prepared.popitem()[1].close()
