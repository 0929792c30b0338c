"""The loop behind `workbook watch`: saves, keys and ends of test runs come in, one after another."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue

from scheduler.cli.failures import Failure, Refused
from scheduler.cli.show import bold, complain, dim, say
from scheduler.cli.waiting import next_of

from workbook import book, screen
from workbook.book import Chapter
from workbook.child import Child
from workbook.keys import keys
from workbook.saves import saves, signals
from workbook.standing import now

KEYS = "h hint · n next · a all · s system · q quit"


@dataclass(frozen=True)
class Saved:
    path: Path


@dataclass(frozen=True)
class Pressed:
    key: str


@dataclass(frozen=True)
class Ended:
    child: Child
    code: int


@dataclass(frozen=True)
class Stopped:
    """Ctrl-C, a terminal that was closed, or `kill`."""


class Watching:
    """See the top of this file. `only` limits it to one chapter."""

    def __init__(self, only: Chapter | None) -> None:
        self._only = only
        self._events: SimpleQueue[Saved | Pressed | Ended | Stopped] = SimpleQueue()
        self._child: Child | None = None
        self._at = only or self._next_chapter() or book.chapters()[0]

    def run(self) -> None:
        """Watch until q or Ctrl-C."""
        folder = self._only.folder if self._only else book.CHAPTERS
        # Before the first run: what is saved during it counts.
        with (
            signals(lambda: self._events.put(Stopped())),
            saves(folder, lambda path: self._events.put(Saved(path))),
            keys(lambda key: self._events.put(Pressed(key))) as can_press,
        ):
            self._bar = KEYS if can_press else "Watching for saves; Ctrl-C quits."
            try:
                self._test(self._at, "the start")
                while self._handle(next_of(self._events)):
                    pass
            finally:
                if self._child is not None:
                    self._child.end()

    def _handle(self, event: Saved | Pressed | Ended | Stopped) -> bool:
        """Do what an event asks for. Returns whether to go on."""
        match event:
            case Saved(path):
                chapter = book.chapter_of(path)
                if chapter is not None:
                    self._test(chapter, f"{path.name} saved")
            case Ended(child, code):
                if child is self._child:
                    self._child = None
                    self._after(child.chapter, code)
            case Pressed("q" | ""):
                return False
            case Stopped():
                raise KeyboardInterrupt
            case Pressed(key):
                self._press(key)
        return True

    def _press(self, key: str) -> None:
        actions: dict[str, Callable[[], None]] = {
            "h": self._hint,
            "n": self._go_on,
            "a": lambda: self._test(self._at, "all of it", everything=True),
            "s": self._system,
        }
        if key in actions:
            try:
                actions[key]()
            except Failure as failure:
                complain(str(failure))

    def _hint(self) -> None:
        from workbook.commands import hint

        task = now().next
        if task is None:
            raise Refused("every task is green: there is nothing to help with")
        hint.show(book.chapter(task.chapter), task, ask="press h")

    def _go_on(self) -> None:
        chapter = self._next_chapter()
        if chapter is None:
            raise Refused("nothing is left to do here: every task is green")
        self._test(chapter, "on to what is next")

    def _system(self) -> None:
        from workbook.commands import look

        look.once()

    def _next_chapter(self) -> Chapter | None:
        task = now().next
        return book.chapter(task.chapter) if task else None

    def _test(self, chapter: Chapter, why: str, everything: bool = False) -> None:
        """Begin a run; a run that is under way is ended first, for it tests what is no longer there."""
        if self._child is not None:
            self._child.end()
        task = now().next
        stretch = everything or (task is not None and task.chapter == chapter.name and task.stretch)
        say()
        line = f"── {datetime.now():%H:%M:%S} · {chapter.name} · {why} "
        say(bold(line + "─" * max(0, screen.width() - len(line))))
        self._at = chapter
        sys.stdout.flush()
        self._child = Child(
            chapter, stretch, everything, lambda child, code: self._events.put(Ended(child, code))
        )

    def _after(self, chapter: Chapter, code: int) -> None:
        standing = now()
        say()
        for line in screen.bars(standing, of=chapter):
            say(line)
        if code == 0:
            say()
            for line in screen.next_step(standing, screen.Told.GREEN, self._ways()):
                say(line)
        elif code not in (0, 1):
            say(dim(f"  The run ended with {code}; save again, and it runs again."))
        say()
        say(dim(f"  {self._bar}"))

    def _ways(self) -> screen.Ways:
        return screen.Ways("press n", "press h") if self._bar == KEYS else screen.Ways("save it")
