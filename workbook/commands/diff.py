"""`workbook diff`: yours beside a plain right answer, and beside the reference's."""

import textwrap
from typing import Annotated

import typer
from scheduler.cli.failures import Misused, Refused
from scheduler.cli.show import bold, dim, say

from workbook import comparing, places, screen
from workbook.book import Chapter, Task
from workbook.commands.arguments import Where, place
from workbook.commands.status import here
from workbook.comparing import Answer
from workbook.folding import folded
from workbook.standing import State


def diff(
    where: Where = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Show it before yours is green.")] = False,
) -> None:
    """Show your functions beside a plain right answer, and then beside the reference's.

    A line that only yours has begins with -, one that only the other has with
    +. At the end: why the reference does more.

    Example:

      workbook diff 1.3
    """
    if not where:
        raise Misused("say what to compare: a chapter or a task, as in workbook diff 1.3")
    found = place(where)
    one = found.chapter
    wanted = list(found.tasks or one.core)
    green = _require_green(one, wanted, anyway)
    if not found.tasks and green and here().of(one).is_green:
        wanted = list(one.tasks)
    last = wanted[-1].number
    pairs = list(dict.fromkeys((one_task.file, entry) for one_task in wanted for entry in one_task.entry))
    say(dim("  - is yours alone, + is the other's alone; docstrings are left out."))
    _show_plain(one, pairs, last)
    _show_reference(one, pairs)


def _require_green(one: Chapter, wanted: list[Task], anyway: bool) -> bool:
    standing = here()
    missing = [task for task in wanted if standing.state(task) is not State.GREEN]
    if not missing:
        return True
    first = missing[0]
    state = "has changed since its last test" if standing.state(first) is State.STALE else "is not green yet"
    sentence = f"task {first.number} of chapter {one.number}, {first.name}, {state}"
    if not anyway:
        raise Refused(
            f"{sentence}: an answer seen now is one that you do not find. "
            f"workbook test {first.brief} first, or --anyway"
        )
    for line in textwrap.wrap(f"Careful: {sentence}. These are answers.", screen.width() - 2):
        say(dim(f"  {line}"))
    return False


def _show_plain(one: Chapter, pairs: list[tuple[str, str]], last: int) -> None:
    _title("A plain right answer")
    if not (comparing.STEPS / one.name).is_dir():
        say(dim(f"  There is none here: {places.short(comparing.STEPS / one.name)} is missing."))
        return
    for file, entry in pairs:
        _show(one, file, entry, comparing.plain(one, entry, last))


def _show_reference(one: Chapter, pairs: list[tuple[str, str]]) -> None:
    _title("The reference's answer")
    for file, entry in pairs:
        _show(one, file, entry, comparing.reference(one, file, entry))
    if why := comparing.notes(one, [entry for _, entry in pairs]):
        _title("Why the reference does more")
        for text in why:
            say(textwrap.fill(text, screen.width() - 2, initial_indent="  · ", subsequent_indent="    "))


def _title(text: str) -> None:
    say()
    say(bold(f"── {text} ".ljust(screen.width(), "─")))


def _show(one: Chapter, file: str, entry: str, other: Answer | None) -> None:
    say()
    say(f"{bold(entry)}  {dim(file)}")
    if other is None:
        say(dim("  not there"))
        return
    try:
        mine = comparing.own(one, file, entry)
    except (OSError, SyntaxError) as error:
        raise Refused(f"{places.short(one.folder / file)} can't be read: {error}") from None
    columns = screen.width() - 3
    for line in comparing.difference(folded(mine, columns), folded(other.source, columns)):
        say(_coloured(line))
    if other.helpers:
        say(dim("  with, from the same file:"))
        for helper in other.helpers:
            say()
            for line in folded(helper, screen.width() - 5).splitlines():
                say(f"    {line}".rstrip())


def _coloured(line: str) -> str:
    colours = {"-": typer.colors.RED, "+": typer.colors.GREEN}
    return typer.style(line, fg=colours.get(line[:1]))
