"""Where the learner stands: the state of each task now, and which task is next."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from workbook import caught_up, progress
from workbook.book import Chapter, Task, chapters
from workbook.depends import Contents
from workbook.progress import ChapterRecord, Progress


class State(Enum):
    """What is known of a task."""

    GREEN = "green"
    RED = "red"
    STALE = "changed since its last test"
    UNTESTED = "not tested yet"


@dataclass(frozen=True)
class ChapterStanding:
    """One chapter: a state for each task, and what its last failure said."""

    chapter: Chapter
    states: dict[int, State]
    sentences: dict[int, str]
    """Of the first red test of a task; also of a stale one, which may still be right."""
    filled: bool
    """Whether `workbook catch-up` has filled it from the reference."""

    @property
    def core_is_green(self) -> bool:
        return all(self.states[task.number] is State.GREEN for task in self.chapter.core)

    @property
    def is_green(self) -> bool:
        return all(state is State.GREEN for state in self.states.values())

    def count(self, state: State, stretch: bool) -> int:
        """How many core tasks, or stretch tasks, are in this state."""
        return sum(
            self.states[task.number] is state for task in self.chapter.tasks if task.stretch == stretch
        )


@dataclass(frozen=True)
class Standing:
    """The whole book."""

    progress: Progress
    chapters: tuple[ChapterStanding, ...]

    def of(self, chapter: Chapter) -> ChapterStanding:
        return next(one for one in self.chapters if one.chapter.name == chapter.name)

    def state(self, task: Task) -> State:
        return next(one for one in self.chapters if one.chapter.name == task.chapter).states[task.number]

    @cached_property
    def next(self) -> Task | None:
        """The task to work on: the one that was red last, else the next that is not green; core tasks first.

        The search begins in the chapter that was tested last, so whoever has gone ahead is not called back.
        """
        for task in self._last_red():
            return task
        for stretch in (False, True):
            for one in self._from_here():
                for task in one.chapter.tasks:
                    if task.stretch == stretch and one.states[task.number] is not State.GREEN:
                        return task
        return None

    @property
    def next_core(self) -> Task | None:
        """The next core task that is not green."""
        for one in self._from_here():
            for task in one.chapter.core:
                if one.states[task.number] is not State.GREEN:
                    return task
        return None

    def _last_red(self) -> Iterator[Task]:
        for one in self.chapters:
            if one.chapter.name == self.progress.at and not one.filled:
                for task in one.chapter.tasks:
                    if task.number == self.progress.red and one.states[task.number] is not State.GREEN:
                        yield task

    def _from_here(self) -> list[ChapterStanding]:
        names = [one.chapter.name for one in self.chapters]
        here = names.index(self.progress.at) if self.progress.at in names else 0
        return [one for one in (*self.chapters[here:], *self.chapters[:here]) if not one.filled]


def now() -> Standing:
    """Read it anew: the files may have changed."""
    known, filled, contents = progress.read(), caught_up.names(), Contents()
    standings = []
    for chapter in chapters():
        record = known.chapters.get(chapter.name, ChapterRecord())
        standings.append(_of_chapter(chapter, record, chapter.name in filled, contents))
    return Standing(known, tuple(standings))


def _of_chapter(chapter: Chapter, record: ChapterRecord, filled: bool, contents: Contents) -> ChapterStanding:
    complete = record.all_digest == progress.tests_digest(chapter)
    states, sentences = {}, {}
    for task in chapter.tasks:
        states[task.number] = _state(chapter, record, task.number, contents, complete)
        failed = (one for one in record.tests.values() if one.task == task.number and not one.passed)
        sentences[task.number] = next((one.sentence for one in failed), "")
    return ChapterStanding(chapter, states, sentences, filled)


def _state(chapter: Chapter, record: ChapterRecord, task: int, contents: Contents, complete: bool) -> State:
    results = {name: test for name, test in record.tests.items() if test.task == task}
    fresh = {
        name: test for name, test in results.items() if test.digest == contents.digest(chapter, test.files)
    }
    if any(not test.passed for test in fresh.values()):
        return State.RED
    wanted = {name for name, number in record.all.items() if number == task}
    if complete and wanted and wanted <= fresh.keys():
        return State.GREEN
    return State.STALE if len(results) > len(fresh) else State.UNTESTED
