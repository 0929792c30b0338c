"""What the commands write: bars, and the next step."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import typer
from scheduler.cli.show import bold, dim

from workbook import places
from workbook.book import Chapter, Task
from workbook.standing import ChapterStanding, Standing, State

CELLS = {State.GREEN: "█", State.RED: "x", State.STALE: "▒", State.UNTESTED: "░"}
COLOURS = {
    State.GREEN: typer.colors.GREEN,
    State.RED: typer.colors.RED,
    State.STALE: typer.colors.YELLOW,
    State.UNTESTED: typer.colors.BRIGHT_BLACK,
}
WIDEST = 100
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def width() -> int:
    """How many columns lines may have: those of the terminal, 100 at most."""
    return max(40, min(WIDEST, shutil.get_terminal_size().columns))


def cut(text: str, columns: int) -> str:
    """The text, shortened to so many columns."""
    return text if len(text) <= columns else text[: max(0, columns - 1)] + "…"


def plain(text: str) -> str:
    """The text without its colours."""
    return COLOUR.sub("", text)


def bars(standing: Standing, of: Chapter | None = None) -> Iterator[str]:
    """A line for each chapter, or for one: a cell for each task, core and stretch apart, and both counts."""
    every = standing.chapters
    names = max(len(_name(one.chapter)) for one in every)
    core = max(len(one.chapter.core) for one in every)
    whole = max(len(one.chapter.tasks) for one in every) + 1
    for one in every:
        if of is None or one.chapter.name == of.name:
            yield _bar(one, names, core, whole)
    shown = [one for one in every if of is None or one.chapter.name == of.name]
    if any(state is State.STALE for one in shown for state in one.states.values()):
        yield "  " + dim(f"{CELLS[State.STALE]} changed since its last test")


def _bar(one: ChapterStanding, names: int, core: int, whole: int) -> str:
    parts = [
        tuple(task for task in one.chapter.tasks if task.stretch == stretch) for stretch in (False, True)
    ]
    cells = " ".join("".join(_cell(one.states[task.number]) for task in part) for part in parts)
    length = len(one.chapter.tasks) + 1
    if one.filled and not one.core_is_green:
        counts = "caught up: the reference's"
    else:
        counts = " · ".join(
            f"{word} {one.count(State.GREEN, stretch)} of {len(parts[stretch])}"
            for word, stretch in (("core", False), ("stretch", True))
            if parts[stretch]
        )
    return f"  {_name(one.chapter):<{names}}  {cells}{' ' * (whole - length)}  {counts}"


def _name(chapter: Chapter) -> str:
    return chapter.name.replace("_", " ", 1)


def _cell(state: State) -> str:
    return typer.style(CELLS[state], fg=COLOURS[state])


class Told(Enum):
    """What stands above the next step already."""

    NOTHING = "nothing"
    RED = "a report of what was red"
    GREEN = "that all was green: nobody is stuck then"


@dataclass(frozen=True)
class Ways:
    """How the learner tests the next task, and how a hint is asked for, from here."""

    test: str = "workbook test"
    hint: str = "workbook hint"


def next_step(standing: Standing, told: Told = Told.NOTHING, ways: Ways = Ways()) -> Iterator[str]:
    """The task to work on, where, what its last failure said, and the commands for it: everywhere the same."""
    task = standing.next
    if task is None:
        yield f"  {bold('Every task is green.')} The scheduler is yours: workbook serve"
        return
    one = next(one for one in standing.chapters if one.chapter.name == task.chapter)
    is_told = told is Told.RED and one.states[task.number] is State.RED
    if not is_told:
        yield from _task(one, task)
    stuck = "" if told is Told.GREEN else f"    Stuck: {bold(ways.hint)}"
    yield f"  {'Again:' if is_told else 'Run:  '} {bold(ways.test)}{stuck}"
    if task.stretch and (core := standing.next_core):
        number = core.chapter.partition("_")[0]
        yield f"  Or:    {bold(f'workbook test {number}')}, to go on with chapter {number}"


def _task(one: ChapterStanding, task: Task) -> Iterator[str]:
    title = bold(f"{one.chapter.number} task {task.number}: {task.name}")
    yield f"  Next:  {title} · {task.minutes} min{' · stretch' if task.stretch else ''}"
    yield f"         {places.of_task(task)}"
    state, sentence = one.states[task.number], one.sentences[task.number]
    if state is State.STALE:
        yield "         " + dim(State.STALE.value)
    elif state is State.RED and sentence:
        yield "         " + dim(cut(sentence, width() - 10))
    if all(state is not State.GREEN for state in one.states.values()):
        yield f"  Read:  {places.short(one.chapter.folder / 'README.md')}"
