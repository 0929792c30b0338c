"""`--shuffle`: the tests in an order by chance, to see that none needs another before it.

`--shuffle=any` draws a number and says it; `--shuffle=NUMBER` repeats the order that this number made. The files come
in any order, and so do the tests of a file; that they stay together keeps what a file sets up for all its tests.
"""

import random
from collections.abc import Iterable
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shuffle", metavar="NUMBER|any", help="run the tests in an order by chance")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        config.option.shuffle = config.workerinput["shuffle"]
    elif config.option.shuffle == "any":
        config.option.shuffle = str(random.SystemRandom().randrange(1, 10_000))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tests side by side: all processes need the same order."""
    node.workerinput["shuffle"] = node.config.option.shuffle


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.option.shuffle:
        terminalreporter.write_line(f"in the order of --shuffle={config.option.shuffle}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.shuffle:
        by_file: dict[str, list[pytest.Item]] = {}
        for item in items:
            by_file.setdefault(str(item.path), []).append(item)
        chance = random.Random(config.option.shuffle)
        files = mixed(chance, by_file.values())
        items[:] = [item for file in files for item in mixed(chance, file)]


def mixed(chance: random.Random, things: Iterable[T]) -> list[T]:
    found = list(things)
    chance.shuffle(found)
    return found
