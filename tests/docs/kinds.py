"""What is done with a command: it is run, or only parsed, for a reason. There is nothing else."""

import re
from enum import Enum

PARSED_ONLY = {
    r"docker ": "a test has no Docker engine",
    r"pip install ": "it downloads",
    r"uv ": "it downloads, and is not everybody's",
    r"make notebooks$": "JupyterLab goes on for ever; tests/notebooks runs each notebook",
    r"pytest tests/end_to_end\b": "it takes minutes; tests/workbook/test_own_scheduler.py runs it",
    r"make (test|prove)$": "it would run itself",
    r"make quick$": "it sets up an environment; its parts are what runs here anyhow",
    r"make bench$": "it takes a quarter of an hour, and downloads",
    r"pytest tests/chapters -k 08_schedule$": "the chapter is the reader's to write",
    r"git clone ": "it downloads",
    r"(brew|sudo|apt|apt-get|winget) ": "it changes the machine",
    r"workbook (watch|look)$": "it goes on for ever; tests/workbook runs it in a terminal of its own",
}
SERVER = r"make run$|scheduler (up|api|worker)\b|workbook serve\b"
PROGRAMS = (
    *(".", "cd", "cp", "for", "mkdir", "source"),
    *("curl", "git", "grpcurl", "jupyter", "python", "python3", "scheduler", "workbook"),
)


class Kind(Enum):
    """How a command is checked."""

    TESTS = "pytest on a chapter of the copy"
    SERVER = "started in the first window, and ended with Ctrl-C"
    LIVE = "run in the second window"
    PARSED = "parsed only"
    UNKNOWN = "nobody knows"


def kind_of(text: str) -> Kind:
    """What is done with this command."""
    if within_a_container(text):
        return Kind.LIVE
    if reason(text):
        return Kind.PARSED
    if text.startswith("pytest chapters/"):
        return Kind.TESTS
    if re.match(SERVER, text):
        return Kind.SERVER
    return Kind.LIVE if text.split()[0] in PROGRAMS else Kind.UNKNOWN


def reason(text: str) -> str | None:
    """Why it is only parsed; None if it is not."""
    return next((why for pattern, why in PARSED_ONLY.items() if re.match(pattern, text)), None)


def within_a_container(text: str) -> str | None:
    """The `scheduler` command that Compose would run in a container. It is run here, without the container."""
    found = re.match(r"docker compose (?:exec (?:-T )?|run --rm )\w+ (scheduler .*)$", text)
    return found[1] if found else None
