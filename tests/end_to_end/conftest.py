"""A server for tests that leave nothing behind: what is refused needs none of its own."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from scheduler.config import Settings
from scheduler.server import RunningApi

from tests.end_to_end.client import serving
from workbook.sandbox import Servers


@pytest.fixture(scope="module")
def shared_settings(backends: Servers) -> Iterator[Settings]:
    with backends.sandbox() as own:
        yield own


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(shared_settings: Settings) -> AsyncIterator[tuple[RunningApi, Any]]:
    """One server for the tests of a module that are marked `@on_shared`, and a client of it."""
    async with serving(shared_settings) as running:
        yield running
