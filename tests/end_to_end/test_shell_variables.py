"""What a shell has set for some other PostgreSQL: embedded servers never hear of it, and one's own server does."""

import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from tests.end_to_end.commands import clean_environment, execute, scheduler, serving_command

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.timeout(200),
    pytest.mark.of_reference,
    pytest.mark.skipif(sys.platform == "win32", reason="signals, as these tests use them, are POSIX"),
]

OF_ANOTHER_SERVER = {
    "PGSSLMODE": "require",
    "PGSSLROOTCERT": "system",
    "PGCHANNELBINDING": "require",
    "PGREQUIREAUTH": "none",
    "PGGSSENCMODE": "require",
    "PGHOST": "nohost.invalid",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "1",
    "PGUSER": "nobody",
    "PGDATABASE": "nowhere",
    "PGPASSFILE": "/nowhere",
    "PGSERVICE": "nowhere",
    "PGSERVICEFILE": "/nowhere",
    "PGOPTIONS": "-c nonsense=1",
    "PGTARGETSESSIONATTRS": "standby",
    "PGDATESTYLE": "SQL, DMY",
    "PGTZ": "Asia/Tokyo",
    "PGCLIENTENCODING": "SQL_ASCII",
    "PGCONNECT_TIMEOUT": "x",
}


@pytest.fixture
def folder():
    """A data folder that the embedded servers' account can reach, root or not."""
    path = Path(tempfile.mkdtemp(prefix="scheduler-shell-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def test_up_and_the_commands_beside_it_know_nothing_of_other_servers(folder):
    environment = clean_environment(
        **OF_ANOTHER_SERVER,
        SCHEDULER_DATA=str(folder),
        GRPC_PORT="0",
        METRICS_PORT="0",
        SHUTDOWN_GRACE_SECONDS="1",
    )
    async with serving_command(environment, "up") as up:
        address = (await up.until("API")).split()[1].rstrip(",")
        await up.until("Serving.")
        client = {**environment, "SCHEDULER_ADDRESS": address}
        assert (await scheduler(client, "submit", "noop", "--watch")).code == 0
        counted = await scheduler(
            client, "sql", "SELECT count(*), max(updated_at) < now() FROM tasks", "--json"
        )
        assert counted.json == [{"count": 1, "?column?": True}]
        assert (await scheduler(client, "prune", "--older-than", "1d")).code == 0
        assert await up.stops() == 0


async def test_the_tests_of_the_chapters_know_nothing_of_other_servers(folder):
    environment = clean_environment(**OF_ANOTHER_SERVER, SCHEDULER_DATA=str(folder))
    chapter = ["chapters/01_queue", "--implementation", "reference", "-q", "-p", "no:cacheprovider"]
    done = await execute([sys.executable, "-m", "pytest", "--rootdir", str(ROOT), *chapter], environment)
    assert done.code == 0, done.out
