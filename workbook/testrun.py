"""Runs a chapter's tests in this process, task by task, and stops at the first red test.

`python -m workbook.testrun 01_queue [--stretch] [--all]` does the same in a process of its own, which can be ended
when the learner saves again.
"""

import os
import sys
from collections.abc import Collection

import pytest
from scheduler.cli.show import for_any_terminal

from workbook.book import Chapter, Task, chapter, task_number
from workbook.child import end_with_parent
from workbook.plugin import COMPANION, RESULTS

UNUSED = ("anyio", "valkey", "platformdirs")
"""Plugins that other packages bring along. No chapter uses them, and a learner would wait for their imports."""


class _Companion:
    """Sorts the tests by task, and skips what comes after the first red one."""

    def __init__(self, everything: bool, tasks: Collection[Task] = ()) -> None:
        self.__name__ = COMPANION  # pytest registers it under this name
        self._everything = everything
        self._numbers = {task.number for task in tasks}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        left_out = [item for item in items if self._numbers and task_number(item.name) not in self._numbers]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]
        items.sort(key=lambda item: task_number(item.name) or 0)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> object:
        results = item.config.stash[RESULTS]
        is_over = not self._everything and any(not result.passed for result in results)
        return True if is_over else None  # True: somebody has taken care of this test


def run(
    one: Chapter, stretch: bool = False, everything: bool = False, tasks: Collection[Task] = (), *more: str
) -> int:
    """Run the tests, write their report, and return the exit code: 0 all green, 1 red, 130 Ctrl-C, else pytest's.

    `stretch` adds the stretch tasks; `tasks` limits it to these; with `everything` nothing stops at the first red test;
    `more` are options of pytest.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    arguments = [str(one.folder), "-qq", "--no-header", "-o", "console_output_style=classic", *more]
    arguments += [f"-pno:{name}" for name in UNUSED]
    if stretch:
        arguments.append("--stretch")
    code = int(pytest.main(arguments, plugins=[_Companion(everything, tasks)]))
    return 130 if code == pytest.ExitCode.INTERRUPTED else code


def main(arguments: list[str]) -> int:
    """The process of one run. With `--with-parent` it ends when its parent does."""
    if "--with-parent" in arguments:
        end_with_parent()
    for_any_terminal()
    colour = "--color=yes" if "--colour" in arguments else "--color=no"
    return run(chapter(arguments[0]), "--stretch" in arguments, "--all" in arguments, (), colour)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
