"""Runs a chapter's tests in this process, task by task, and stops at the first red test.

`python -m workbook.testrun 01_queue [--stretch] [--all]` does the same in a process of its own, which can be ended
when the learner saves again.
"""

import os
import sys
from collections.abc import Collection

import pytest
import typer
from scheduler.cli.show import dim, for_any_terminal, say

from workbook import standing
from workbook.book import Chapter, Task, chapter, task_number
from workbook.child import end_with_parent
from workbook.gathered import RESULTS
from workbook.plugin import COMPANION
from workbook.standing import State

UNUSED = ("anyio", "valkey", "platformdirs")
"""Plugins that other packages bring along. No chapter uses them, and a learner would wait for their imports."""


class _Companion:
    """Sorts the tests by task, and skips what comes after the first red one."""

    def __init__(self, everything: bool, tasks: Collection[Task], green: Collection[Task]) -> None:
        self.__name__ = COMPANION  # pytest registers it under this name
        self._everything = everything
        self._numbers = {task.number for task in tasks}
        self._green = {task.number for task in green}
        self.left_out: set[int] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        wanted = [item for item in items if not self._numbers or task_number(item.name) in self._numbers]
        self.left_out = {number for item in wanted if (number := task_number(item.name)) in self._green}
        kept = [item for item in wanted if task_number(item.name) not in self._green]
        if left_out := [item for item in items if item not in kept]:
            config.hook.pytest_deselected(items=left_out)
            items[:] = kept
        items.sort(key=lambda item: task_number(item.name) or 0)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> object:
        results = item.config.stash[RESULTS]
        is_over = not self._everything and any(not result.passed for result in results)
        return True if is_over else None  # True: somebody has taken care of this test


def run(
    one: Chapter,
    *more: str,
    stretch: bool = False,
    everything: bool = False,
    again: bool = False,
    tasks: Collection[Task] = (),
) -> int:
    """Run the tests, write their report, and return the exit code: 0 all green, 1 red, 130 Ctrl-C, else pytest's.

    Tasks that were green with all that they depend on as it is are left out, unless `again` is asked for, or
    `everything`, with which nothing stops at the first red test either. `stretch` adds the stretch tasks; `tasks`
    limits it to these, which are tested in any case; `more` are options of pytest.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    arguments = [str(one.folder), "-qq", "--no-header", "-o", "console_output_style=classic", *more]
    arguments += [f"-pno:{name}" for name in UNUSED]
    if stretch:
        arguments.append("--stretch")
    companion = _Companion(everything, tasks, () if again or everything or tasks else _green(one))
    code = int(pytest.main(arguments, plugins=[companion]))
    if companion.left_out:
        say()
        if code == pytest.ExitCode.NO_TESTS_COLLECTED:
            code = 0
            say(typer.style("  All green.", fg=typer.colors.GREEN))
        say(dim(f"  {_left_out(sorted(companion.left_out), one)}"))
    return 130 if code == pytest.ExitCode.INTERRUPTED else code


def _green(one: Chapter) -> list[Task]:
    of_chapter = standing.now().of(one)
    return [task for task in one.tasks if of_chapter.states[task.number] is State.GREEN]


def _left_out(numbers: list[int], one: Chapter) -> str:
    whole = len(numbers) > 1 and numbers == [*range(numbers[0], numbers[-1] + 1)]
    which = f"{numbers[0]} to {numbers[-1]}" if whole else ", ".join(map(str, numbers))
    which = f"Task {which} was" if len(numbers) == 1 else f"Tasks {which} were"
    return f"{which} green with this code already; workbook test {one.number} --again tests all of it."


def main(arguments: list[str]) -> int:
    """The process of one run. With `--with-parent` it ends when its parent does."""
    if "--with-parent" in arguments:
        end_with_parent()
    for_any_terminal()
    colour = "--color=yes" if "--colour" in arguments else "--color=no"
    return run(
        chapter(arguments[0]), colour, stretch="--stretch" in arguments, everything="--all" in arguments
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
