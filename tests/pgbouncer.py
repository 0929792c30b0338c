"""A real PgBouncer before a test's database, where this machine has one."""

import asyncio
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr
from scheduler.config import Settings
from scheduler.embedded.server import free_port

from tests.helpers import until

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

FILE = """
[databases]
* = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 200
server_tls_sslmode = disable
logfile = {folder}/log
"""


@asynccontextmanager
async def pgbouncer(settings: Settings, mode: str, size: int = 20) -> AsyncIterator[Settings]:
    """The same settings, with the database behind PgBouncer in this mode. Skips the test where there is none."""
    if PROGRAM is None:
        pytest.skip("there is no pgbouncer here: apt-get install pgbouncer")
    there = conninfo_to_dict(settings.database_conninfo())
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    port = free_port()
    file = folder / "pgbouncer.ini"
    names = {name: there[name] for name in ("host", "port", "user", "password")}
    file.write_text(FILE.format(**names, own_port=port, mode=mode, size=size, folder=folder), "utf-8")
    process = await asyncio.create_subprocess_exec(PROGRAM, "-q", str(file), **_as_an_ordinary_user(folder))
    conninfo = make_conninfo(
        host="127.0.0.1", port=port, dbname=there["dbname"], user=there["user"], sslmode="disable"
    )
    try:

        async def answers() -> bool:
            assert process.returncode is None, "pgbouncer ended"
            with suppress(psycopg.OperationalError):
                async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
                    await connection.execute("SELECT 1")
                    return True
            return False

        await until(answers, "pgbouncer answers")
        yield settings.model_copy(update={"database_url": SecretStr(conninfo), "database_pooler": mode})
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _as_an_ordinary_user(folder: Path) -> dict[str, Any]:
    """PgBouncer refuses to run as root, as PostgreSQL does."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    for path in (folder, *folder.iterdir()):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
