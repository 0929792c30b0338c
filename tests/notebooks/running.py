"""Runs a notebook on a fresh kernel, as a reader would, and looks at what came of it."""

import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from scheduler import embedded
from scheduler.embedded.locks import is_held

from tests.patience import SECONDS, until_sync
from workbook.book import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MARK = "NOTEBOOK_TEST_MARK"
OURS = secrets.token_hex(8)
"""Tells what this run has started from what another one has, on the same machine at the same time."""
ELSEWHERE = (
    "DATABASE_URL",
    "REDIS_HOST",
    "TEST_DATABASE_URL",
    "TEST_REDIS_URL",
    "SCHEDULER_ADDRESS",
    "MPLBACKEND",
)


@dataclass(frozen=True)
class Ran:
    """A notebook that was run to its end."""

    cells: list[Any]

    @property
    def code(self) -> list[Any]:
        return [cell for cell in self.cells if cell.cell_type == "code"]

    @property
    def outputs(self) -> list[Any]:
        return [output for cell in self.code for output in cell.outputs]

    @property
    def plots(self) -> int:
        return sum("image/png" in output.get("data", {}) for output in self.outputs)


def data_folder() -> Path:
    """Where this run keeps its servers' data: never where a `scheduler up` of the developer's may run."""
    return embedded.default_folder() / f"tests-notebooks-{OURS}"


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    return {
        **kept,
        "SCHEDULER_DATA": str(data_folder()),
        "WORKBOOK_NOTEBOOK_QUICK": "1",
        MARK: OURS,
        **changes,
    }


def run(path: Path, folder: Path, **changes: str) -> Ran:
    """Run a notebook. `folder` takes what IPython writes, and its settings in the home folder are left out."""
    # Not above: each process of a test run reads this file, and one runs notebooks.
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(path, as_version=4)
    client = NotebookClient(
        book, timeout=int(SECONDS), kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    )
    # A kernel that is still tidying up after some seconds would be killed, and leave what it has made.
    client.create_kernel_manager().shutdown_wait_time = SECONDS
    client.execute(env=environment(IPYTHONDIR=str(folder), **changes))
    return Ran(book.cells)


def text_of(cell: Any) -> str:
    """What a cell shows, without HTML's tags."""
    shown = [output.get("text", "") + _html(output) for output in cell.outputs]
    return re.sub("<[^>]+>", "", " ".join(shown))


def _html(output: Any) -> str:
    return str(output.get("data", {}).get("text/html", ""))


def left_behind() -> list[str]:
    """What a notebook started and did not end, processes and servers. Waits for those that are ending."""
    found: list[str] = []

    def look() -> bool:
        found[:] = _processes() + _servers()
        return not found

    with suppress(AssertionError):
        until_sync(look, "nothing is left")
    return found


def _processes() -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == OURS and process.pid != os.getpid():
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def _servers() -> list[str]:
    return [
        str(lock) for lock in data_folder().glob("tests-*/*.lock") if lock.stem != "lock" and is_held(lock)
    ]
