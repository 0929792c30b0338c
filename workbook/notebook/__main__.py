"""`make notebooks`: JupyterLab on a running system. What this starts ends when JupyterLab does.

Joins the system that runs. If none does, it starts `scheduler up`, and says so; its log is in the data folder.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from scheduler import embedded
from scheduler.cli.show import complain, dim, for_any_terminal, say
from scheduler.cli.waiting import end_of

from workbook.book import ROOT

NOTEBOOKS = ROOT / "notebooks"
UP = "from workbook.child import end_with_parent; end_with_parent(); from scheduler.cli import main; main()"
"""`scheduler up` that ends with this process, however that ends."""
NEWS = "@jupyterlab/apputils-extension:announcements"
START_SECONDS = 60.0
STOP_SECONDS = 20.0


def main(arguments: list[str]) -> int:
    """Open JupyterLab, with these options for it, and return its exit code when it has ended."""
    for_any_terminal()
    if find_spec("jupyterlab") is None:
        complain("JupyterLab is not installed: pip install -c constraints.txt -e '.[notebooks]'")
        return 1
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _with_a_system(arguments)
    except KeyboardInterrupt:
        return 130


def _with_a_system(arguments: list[str]) -> int:
    folder = embedded.default_folder()
    if embedded.find(folder) is not None:
        say(dim("The notebooks join the system that runs."))
        return _lab(arguments)
    with _system(folder) as log:
        if log is not None:
            complain(f"`scheduler up` did not start, so each notebook starts servers for itself. Why: {log}")
        return _lab(arguments)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _system(folder: Path) -> Iterator[Path | None]:
    """A running `scheduler up`; gives its log if it did not come up."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "notebooks.log"
    say(dim(f"Starting `scheduler up` for the notebooks; its log is {path}."))
    with path.open("wb") as log:
        # A session of its own: Ctrl-C on the terminal asks JupyterLab whether to stop, and must not stop this.
        process = subprocess.Popen(
            [sys.executable, "-c", UP, "up"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield None if _comes_up(process, path) else path
    finally:
        _stop(process)
        if process.stdin is not None:
            process.stdin.close()


def _comes_up(process: "subprocess.Popen[bytes]", log: Path) -> bool:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        if b"Serving." in log.read_bytes():
            return True
        time.sleep(0.1)
    return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _lab(arguments: list[str]) -> int:
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={ROOT}", *_quiet(), *arguments]
    command.append(str(NOTEBOOKS / "01_redis_queues.ipynb"))
    with TemporaryDirectory() as folder:
        process = subprocess.Popen(command, cwd=NOTEBOOKS, env=_without_news(Path(folder)))
        # Ctrl-C reaches JupyterLab too, which asks whether it is meant.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return end_of(process)
        finally:
            process.terminate()
            process.wait()


def _without_news(folder: Path) -> dict[str, str]:
    """The environment, with settings of JupyterLab by which it does not ask whether to fetch its news."""
    page = folder / "labconfig" / "page_config.json"
    page.parent.mkdir()
    page.write_text(json.dumps({"disabledExtensions": {NEWS: True}}), "utf-8")
    others = os.environ.get("JUPYTER_CONFIG_PATH")
    return {
        **os.environ,
        "JUPYTER_CONFIG_PATH": os.pathsep.join([str(folder), *([others] if others else [])]),
    }


def _quiet() -> list[str]:
    """JupyterLab without looking for updates or extensions: nothing here needs the network."""
    options = [
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
