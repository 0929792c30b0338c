"""The pages, their blocks, the commands in these, and the code in their sentences."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<language>[^`]*)$")
ITEM = re.compile(r"^ *([-*+]|\d+\.) ")
SHELLS = ("sh", "bash", "console")


@dataclass(frozen=True)
class Command:
    """One command of a block, the line it begins on, and what the page prints below it, if anything."""

    line: int
    text: str
    printed: str | None = None


@dataclass(frozen=True)
class Block:
    """A fenced block. `line` is its fence's, `heading` the one above it, `below` the text up to the next block."""

    page: str
    line: int
    language: str
    text: str
    heading: str
    below: str
    printed: str | None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[Command]:
        if self.language == "console":
            return list(_with_prompts(self.text, self.line + 1))
        commands = list(_commands(self.text.splitlines(), self.line + 1))
        if commands and self.printed is not None:
            commands[-1] = Command(commands[-1].line, commands[-1].text, self.printed)
        return commands


@dataclass(frozen=True)
class Page:
    """One page of Markdown; `name` is its path from the repository's root."""

    name: str
    text: str

    @cached_property
    def blocks(self) -> list[Block]:
        found = list(_fences(self.text.splitlines()))
        lines = self.text.splitlines()
        ends = [*(start for start, *_ in found), len(lines)][1:]
        blocks = []
        for (start, end, language, text), following in zip(found, ends, strict=True):
            below = "\n".join(lines[end + 1 : following]).strip()
            blocks.append(Block(self.name, start + 1, language, text, self._heading(start), below, None))
        return [_printed(block, after) for block, after in zip(blocks, [*blocks[1:], None], strict=False)]

    @cached_property
    def prose(self) -> list[tuple[int, str]]:
        """The lines outside of blocks, with their numbers."""
        inside = {
            number for start, end, *_ in _fences(self.text.splitlines()) for number in range(start, end + 1)
        }
        return [
            (number + 1, line) for number, line in enumerate(self.text.splitlines()) if number not in inside
        ]

    @property
    def headings(self) -> list[str]:
        return [line.lstrip("#").strip() for _, line in self.prose if re.match(r"#{1,6} ", line)]

    @property
    def spans(self) -> list[tuple[int, str]]:
        """The code in sentences and tables: what stands between single backticks."""
        text = "\n".join(line for _, line in self.prose)
        numbers = [number for number, _ in self.prose]
        return [
            (numbers[text.count("\n", 0, found.start())], " ".join(found[1].split()))
            for found in re.finditer(r"(?<!`)`([^`]+)`(?!`)", text)
        ]

    @property
    def indented_code(self) -> list[int]:
        """Lines that Markdown shows as code because they are indented: blocks without a language."""
        found, before = [], ["", ""]
        for number, line in self.prose:
            last = next((text for text in reversed(before) if text.strip()), "")
            if (
                line.startswith("    ")
                and not before[-1].strip()
                and not ITEM.match(last)
                and last[:1] != " "
            ):
                found.append(number)
            before.append(line)
        return found

    def _heading(self, start: int) -> str:
        above = [line for number, line in self.prose if number <= start and re.match(r"#{1,6} ", line)]
        return above[-1].lstrip("#").strip() if above else ""


def page(name: str) -> Page:
    return Page(name, (ROOT / name).read_text("utf-8"))


def pages() -> list[Page]:
    """Every page that a reader is sent to."""
    found = [ROOT / "README.md", *(ROOT / "chapters").rglob("*.md"), *(ROOT / "docs").glob("*.md")]
    found += [*(ROOT / "notebooks").glob("*.md"), *(ROOT / "deploy").rglob("*.md")]
    return [page(path.relative_to(ROOT).as_posix()) for path in sorted(found)]


def _fences(lines: list[str]) -> Iterator[tuple[int, int, str, str]]:
    """First and last line, language and text of each block, with its indentation taken away."""
    start, opened = 0, None
    for number, line in enumerate(lines):
        fence = FENCE.match(line)
        if opened is None:
            start, opened = number, fence
        elif fence and fence["fence"].startswith(opened["fence"]) and not fence["language"].strip():
            margin = len(opened["indent"])
            text = "\n".join(one[margin:] for one in lines[start + 1 : number])
            yield start, number, opened["language"].strip(), text
            opened = None
    assert opened is None, f"the block that begins in line {start + 1} does not end"


def _printed(block: Block, after: Block | None) -> Block:
    """A block of text under a block of commands, with no heading between them, is what the last one prints."""
    if block.language not in SHELLS or after is None or after.language != "text":
        return block
    if after.heading != block.heading:
        return block
    return Block(**{**vars(block), "printed": after.text})


def _commands(lines: list[str], first: int) -> Iterator[Command]:
    taken: list[str] = []
    for number, line in enumerate(lines, first):
        if not taken and (not line.strip() or line.lstrip().startswith("#")):
            continue
        taken.append(line)
        if _is_whole("\n".join(taken)):
            yield Command(number - len(taken) + 1, "\n".join(taken))
            taken = []
    if taken:
        yield Command(first + len(lines) - len(taken), "\n".join(taken))


def _is_whole(text: str) -> bool:
    if text.endswith("\\") or (text.startswith("for ") and not re.search(r"(^|[;\s])done$", text)):
        return False
    try:
        shlex.split(text)
    except ValueError:
        return False
    return True


def _with_prompts(text: str, first: int) -> Iterator[Command]:
    """`$ command`, and below it what it prints."""
    for found in re.finditer(r"^\$ (.*)\n?((?:(?!\$ ).*\n?)*)", text, re.MULTILINE):
        yield Command(first + text.count("\n", 0, found.start()), found[1], found[2].rstrip() or None)
