"""Where the files are and whom they belong to. For root the servers run as `nobody`: PostgreSQL refuses to be root."""

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scheduler.embedded.services import EmbeddedError

Say = Callable[[str], None]


class Account(NamedTuple):
    """Whom the servers run as, if not as ourselves."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Place:
    """The folder that was asked for, the one that holds the servers' own files (mostly the same), and their account."""

    folder: Path
    home: Path
    account: Account | None

    def rights(self) -> dict[str, Any]:
        """The options of subprocess that make a program run as the servers' account."""
        if self.account is None:
            return {}
        return {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}

    def unfinished(self, name: str) -> Path:
        """A folder to fill and then rename, so that a killed start leaves no half; removes those that one left."""
        for half in self.home.glob(f"{name}.new-*"):
            shutil.rmtree(half, ignore_errors=True)
        new = Path(tempfile.mkdtemp(prefix=f"{name}.new-", dir=self.home))
        give(new, self.account)
        return new


def made(folder: Path) -> Path:
    """The data folder, made if need be, with a note to git to leave it alone."""
    folder = folder.resolve()
    if not folder.is_dir():
        new = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        if _is_root():
            for one in new:
                # Its servers run as another user, who must be able to enter, whatever root's umask says.
                one.chmod(one.stat().st_mode | 0o011)
        (folder / ".gitignore").write_text("*\n", encoding="ascii")
    return folder


def place_for(folder: Path, say: Say) -> Place:
    """The folder itself, or for root where its servers cannot reach that, a folder that they can."""
    account = _account(folder)
    if account is None or _is_reachable(folder, account):
        return Place(folder, folder, account)
    # It outlasts a restart of the machine, which /tmp may not.
    base = Path("/var/tmp")
    if not base.is_dir() or not _is_reachable(base, account):
        raise EmbeddedError(
            f"The account that runs the servers for root cannot reach {folder}: "
            "give a data folder that every user may enter with SCHEDULER_DATA."
        )
    home = base / f"scheduler-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"
    make_private(home, Account(0, 0), mode=0o711)
    say(f"The account that runs the servers cannot reach {folder}, so their data is kept in {home}.")
    return Place(folder, home, account)


def give(path: Path, account: Account | None) -> None:
    if account is not None and sys.platform != "win32":
        os.chown(path, *account, follow_symlinks=False)


def make_private(folder: Path, account: Account | None, mode: int = 0o700) -> None:
    """Make a folder for the account alone, or make sure that the one that is there is such a folder."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        give(folder, account)
        folder.chmod(mode)
    if sys.platform == "win32":
        return
    entry = folder.lstat()
    uid = os.geteuid() if account is None else account.uid
    if not stat.S_ISDIR(entry.st_mode) or entry.st_uid != uid or entry.st_mode & 0o066:
        raise EmbeddedError(
            f"{folder} is not a private folder of the user {uid}: remove it, or give another data folder."
        )


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, at once or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)


def spelled(path: Path | str) -> str:
    """A path for processes of any locale: its bytes as UTF-8, whatever this process's locale makes of them."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def from_spelled(text: str) -> Path:
    """The path that another process has `spelled`."""
    return Path(os.fsdecode(text.encode("utf-8", "surrogateescape")))


def clean_environment() -> dict[str, str]:
    """What a server needs of our environment: no PG*, which changes what it does, and no secrets."""
    kept = {"PATH", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT", "COMSPEC", "TEMP", "TMP"}
    return {name: os.environ[name] for name in kept & os.environ.keys()} | {"LC_ALL": "C", "TZ": "UTC"}


def _account(folder: Path) -> Account | None:
    """Nobody in particular for an ordinary user; for root the owner of the data, else `nobody`."""
    if not _is_root():
        return None
    import pwd

    with suppress(FileNotFoundError):
        owner = (folder / "postgres").stat()
        if owner.st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _is_reachable(path: Path, account: Account) -> bool:
    """Whether the account may enter a folder and every folder above it."""
    for folder in (path, *path.parents):
        entry = folder.stat()
        shift = 6 if entry.st_uid == account.uid else 3 if entry.st_gid == account.gid else 0
        if not entry.st_mode >> shift & 1:
            return False
    return True
