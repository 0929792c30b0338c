"""Connections to the database: what a shell or a role has set breaks no row, and what somebody asks for is kept."""

import socket
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from pydantic import SecretStr
from scheduler.app import open_app
from scheduler.jobs import get_job_row
from scheduler.parts import reference

from tests.helpers import submit
from workbook.system import observed

pytestmark = [pytest.mark.timeout(60), pytest.mark.of_reference]

UNUSUAL = {"PGDATESTYLE": "SQL, DMY", "PGCLIENTENCODING": "SQL_ASCII", "PGTZ": "Asia/Tokyo"}


SILENCE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}
"""What the kernel is to be told, so that it gives a host up in seconds that vanished without a word."""


@pytest.mark.skipif(sys.platform != "linux", reason="what the kernel of Linux calls it")
@pytest.mark.parametrize("whose", ["db", "guest_db"])
async def test_the_kernel_gives_up_a_database_that_vanished_within_seconds(settings, whose):
    async with open_app(settings, reference()) as app:

        async def asked(connection):
            with socket.socket(fileno=connection.fileno()) as line:
                known = {name: line.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in SILENCE}
                is_looked_after = line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                line.detach()
            return known, is_looked_after

        assert await getattr(app, whose).transaction(asked) == (SILENCE, 1)


async def must_read_a_job(settings):
    async with open_app(settings, reference()) as app:
        task_id = await submit(app, "größe", payload_json='{"to": "Ødegård"}')
        job = await get_job_row(app, task_id)
        assert (job.type, job.task_id) == ("größe", task_id)
        assert abs(job.created_at - datetime.now(UTC)) < timedelta(minutes=10)
        assert await app.parts.reconcile(app) == 0
    with observed(settings) as observer:
        assert [one.type for one in observer.look().last] == ["größe"]


@pytest.mark.parametrize("name", UNUSUAL)
async def test_what_a_shell_says_of_times_and_letters_breaks_no_row(settings, monkeypatch, name):
    monkeypatch.setenv(name, UNUSUAL[name])
    await must_read_a_job(settings)


async def test_what_a_database_s_owner_says_of_times_and_letters_breaks_no_row(settings):
    async with open_app(settings, reference()) as app:
        name = (await app.db.fetch_one("SELECT current_database() AS name"))["name"]
        for setting in ("datestyle = 'German'", "timezone = 'Asia/Tokyo'", "client_encoding = 'LATIN1'"):
            await app.db.fetch_all(f'ALTER DATABASE "{name}" SET {setting}')
    await must_read_a_job(settings)


async def test_one_s_own_server_hears_what_one_has_set_for_it(settings, monkeypatch):
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=7s -c search_path=public")
    async with open_app(settings, reference()) as app:
        assert await app.db.fetch_one("SHOW statement_timeout") == {"statement_timeout": "7s"}
        assert await app.db.fetch_one("SHOW search_path") == {"search_path": "public"}
        assert await app.db.fetch_one("SHOW lock_timeout") == {"lock_timeout": "10s"}


async def test_options_in_the_address_are_kept(settings):
    url = f"{settings.database_conninfo()}?options={quote('-c statement_timeout=9s')}"
    async with open_app(settings.model_copy(update={"database_url": SecretStr(url)}), reference()) as app:
        assert await app.db.fetch_one("SHOW statement_timeout") == {"statement_timeout": "9s"}
