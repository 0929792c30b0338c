"""The data of the servers that notebooks start in this run goes with it."""

import shutil
from collections.abc import Iterator

import pytest

from tests.notebooks.running import data_folder


@pytest.fixture(scope="session", autouse=True)
def _no_data_is_left() -> Iterator[None]:
    yield
    shutil.rmtree(data_folder(), ignore_errors=True)
