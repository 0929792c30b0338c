"""The environment that the tests run in: this machine's, without a word that would change what a test means.

What must never matter stays: the locale, the time zone, the proxies for the web.
"""

import os

from scheduler.config import Settings

SERVICES = {name.upper() for name in Settings.model_fields} | {"SCHEDULER_ADDRESS", "HANDLERS"}
"""What would send a command to other services than the test's own, or give it settings that no test knows."""
LOOKS = {
    *("COLUMNS", "LINES", "TERMINAL_WIDTH", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS"),
    *("TTY_COMPATIBLE", "TTY_INTERACTIVE", "MPLBACKEND"),
}
"""How somebody likes their terminal."""
TOOLS = {"PYTEST_ADDOPTS", "PYTHONWARNINGS", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CDPATH", "ENV", "BASH_ENV"}
"""What a shell, Python and pytest do unasked."""
PREFIXES = ("PG", "LOG_", "GIT_DIR", "GIT_INDEX", "GIT_WORK_TREE", "GIT_PREFIX")
"""Of libpq, which believes them beside any address; of the logs; and of git, which sets its own in a hook."""


def is_odd(name: str) -> bool:
    """Whether no test should see this variable."""
    return name in SERVICES | LOOKS | TOOLS or name.startswith(PREFIXES)


def make_ordinary() -> None:
    """Take all that out of this process's environment, and so of every process that a test starts."""
    for name in filter(is_odd, list(os.environ)):
        del os.environ[name]
    # What a command writes is read as UTF-8; that it can write to any terminal has tests of its own.
    os.environ["PYTHONIOENCODING"] = "utf-8"
