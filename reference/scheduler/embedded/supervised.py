"""Our side of a supervisor process: its server lives as long as we hold the pipe to its standard input."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from scheduler.embedded.places import clean_environment

SUPERVISOR = Path(__file__).with_name("supervisor.py")


class Supervised:
    """One server that this process started."""

    def __init__(self, order: dict[str, Any], log: Path) -> None:
        options: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "utf8", str(SUPERVISOR), json.dumps(order)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=log.parent,
                env=clean_environment(),
                **options,
            )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        if sys.platform != "win32":
            os.register_at_fork(after_in_child=self._forget)

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def close(self) -> None:
        """End the server, and wait until it is gone."""
        self._pipe.close()
        self._process.wait()

    def _forget(self) -> None:
        # A forked child that outlives us would hold the pipe open, and its close() would end our server.
        self._pipe.close()
        self._process.returncode = 0
