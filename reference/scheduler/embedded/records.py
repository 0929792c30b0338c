"""The record of a running server, which whoever joins it reads, and when it can be believed."""

import json
import os
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from scheduler.embedded.locks import is_held
from scheduler.embedded.places import write_private


@dataclass(frozen=True)
class Record:
    """How to join a server: `pid` is what it takes itself for, `owner` is the process that it ends with."""

    owner: int
    pid: int
    port: int
    password: str
    home: str

    def write(self, path: Path) -> None:
        write_private(path, json.dumps(asdict(self)))


def running_record(folder: Path, name: str) -> Record | None:
    """The record of a server that lives and has not lost its owner, which it is about to follow."""
    if not is_held(folder / f"{name}.lock"):
        return None
    try:
        kept = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        # Field by field: a server that another version of this module started may have more of them.
        record = Record(**{field.name: kept[field.name] for field in fields(Record)})
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return record if _is_alive(record.owner) else None


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":
        # There, signal 0 is Ctrl-C. A supervisor notices within milliseconds that its owner went.
        return True
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether a process ended and nobody asked for its exit status: in a container, often nobody ever does."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].startswith(b"Z")
    except OSError:
        return False
