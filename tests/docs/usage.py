"""Whether a command that is not run could be: its program, its options, its arguments."""

import importlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from itertools import pairwise
from typing import Any

import typer

from tests.deploy.files import PASSWORDS, compose
from tests.docs.kinds import Kind, kind_of
from tests.docs.pages import ROOT, Block
from tests.patience import SECONDS
from workbook import book

APPS = {"scheduler": "scheduler.cli.app", "workbook": "workbook.cli"}
Check = Callable[[list[str], bool], str | None]


def fault(text: str, whole: bool = True) -> str | None:
    """What is wrong with the way a command is written, as far as that can be told without running it.

    A command that a sentence only names is not `whole`: its arguments may be missing.
    """
    check = CHECKS.get(text.split()[0])
    if check is None:
        return None
    try:
        words = shlex.split(text)
    except ValueError as error:
        return f"a shell can't read it: {error}"
    return None if "…" in words else check(words, whole)


def shell_faults(block: Block) -> Iterator[str]:
    """A sentence for each command of a block that nobody runs, that no shell can read, or that is used wrongly."""
    for command in block.commands:
        place = f"{block.page}:{command.line}: {command.text}"
        if kind_of(command.text) is Kind.UNKNOWN:
            yield f"{place}: it is neither run nor only parsed for a reason: see tests/docs/kinds.py"
        done = subprocess.run(
            ["bash", "-n", "-c", command.text.encode()],
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode:
            yield f"{place}: {done.stderr.strip()}"
        elif wrong := fault(command.text):
            yield f"{place}: {wrong}"


def of_typer(words: list[str], whole: bool) -> str | None:
    """Parse the arguments as `scheduler` and `workbook` do, and call nothing."""
    if len(words) == 1:
        return None
    group: Any = typer.main.get_command(importlib.import_module(APPS[words[0]]).app)
    try:
        with redirect_stdout(StringIO()):
            context = group.make_context(words[0], words[1:])
            name, command, rest = group.resolve_command(context, words[1:])
            command.make_context(name, rest, parent=context)
    except typer.Exit:
        return None  # --help
    except Exception as error:
        if type(error).__name__ == "MissingParameter" and not whole:
            return None
        if message := getattr(error, "format_message", None):
            return str(message())
        raise
    return None


def of_pytest(words: list[str], whole: bool) -> str | None:
    """Options that it has, tests that are there, tasks of the chapter."""
    for word in words[1:]:
        if word.startswith("-") and not re.search(rf"(^|[\s,]){re.escape(word)}\b", _pytest_help()):
            return f"pytest has no option {word}"
        if "/" in word and not (ROOT / word).exists():
            return f"there is no {word}"
    chapter, task = re.search(r"chapters/(\w+)", " ".join(words)), re.search(r"task_(\d+)_", " ".join(words))
    if chapter and task and int(task[1]) not in [one.number for one in book.chapter(chapter[1]).tasks]:
        return f"chapter {chapter[1]} has no task {task[1]}"
    return None


@cache
def _pytest_help() -> str:
    command = [sys.executable, "-m", "pytest", "--help"]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=SECONDS, check=True
    ).stdout


def of_make(words: list[str], whole: bool) -> str | None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    return next((f"the Makefile has no {word}" for word in words[1:] if word not in targets), None)


def of_pip(words: list[str], whole: bool) -> str | None:
    """A file of constraints, and extras, that are there."""
    if words[words.index("install") - 1] not in ("pip", "install"):
        return f"{words[0]} has nothing that is called so"
    for option, value in pairwise(words):
        if option == "-c" and not (ROOT / value).exists():
            return f"there is no {value}"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    wanted = re.findall(r"\.\[(\w+)\]", " ".join(words))
    return next((f"pyproject.toml has no extra {extra}" for extra in wanted if extra not in extras), None)


def of_uv(words: list[str], whole: bool) -> str | None:
    if words[1:] == ["venv"]:
        return None
    if words[1:3] == ["pip", "install"]:
        return of_pip(words, whole)
    if words[1:3] == ["run", "--no-sync"]:
        return fault(shlex.join(words[3:]), whole)
    return "uv is known here for venv, pip install and run --no-sync"


def of_python(words: list[str], whole: bool) -> str | None:
    if "-m" in words and not importlib.util.find_spec(words[words.index("-m") + 1]):
        return f"Python has no module {words[words.index('-m') + 1]}"
    return None


def of_paths(words: list[str], whole: bool) -> str | None:
    return next(
        (f"there is no {word}" for word in words[1:] if "/" in word and not (ROOT / word).exists()), None
    )


def of_docker(words: list[str], whole: bool) -> str | None:
    """Flags that Docker and Compose have; services, and containers, of compose.yaml."""
    if words[1] == "compose":
        return of_compose(words[2:])
    containers = [word for word in words[2:] if "-" in word[1:] and not word.startswith("-")]
    strange = [name for name in containers if not _is_container(name)]
    if strange:
        return f"compose.yaml makes no container {strange[0]}"
    if shutil.which("docker") is None:
        return None
    done = subprocess.run(
        [*words, "--help"], capture_output=True, encoding="utf-8", timeout=SECONDS, check=False
    )
    return None if done.returncode == 0 else (done.stderr or done.stdout).splitlines()[0]


def of_compose(words: list[str]) -> str | None:
    profile = words[:2] if words[0] == "--profile" else []
    subcommand, *rest = words[len(profile) :]
    done = compose(*profile, subcommand, "--help", *rest, **PASSWORDS)
    usage = (done.stdout or done.stderr).splitlines()[0]
    if not usage.startswith(f"Usage:  docker compose {subcommand} "):
        return f"Compose says: {usage}"
    if profile and profile[1] not in ("postgres", "cockroach"):
        return f"compose.yaml has no profile {profile[1]}"
    names = [word.partition("=")[0] for word in rest if not word.startswith("-")]
    names = names[:1] if subcommand in ("exec", "run") else names
    return next((f"compose.yaml has no service {name}" for name in names if name not in _services()), None)


def _is_container(name: str) -> bool:
    return bool(re.fullmatch(rf"{composed()['name']}-({'|'.join(_services())})-\d+", name))


def _services() -> list[str]:
    return list(composed()["services"])


@cache
def composed() -> Any:
    done = compose(
        "--profile", "postgres", "--profile", "cockroach", "config", "--format", "json", **PASSWORDS
    )
    return json.loads(done.stdout)


CHECKS: dict[str, Check] = {
    "scheduler": of_typer,
    "workbook": of_typer,
    "pytest": of_pytest,
    "make": of_make,
    "pip": of_pip,
    "uv": of_uv,
    "python": of_python,
    "python3": of_python,
    "py": of_python,
    "ruff": of_paths,
    "mypy": of_paths,
    "docker": of_docker,
}
