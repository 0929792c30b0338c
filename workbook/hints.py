"""The hints of a task: three, each deeper than the one before, from the `<details>` of the chapter's hints.md."""

import re
import textwrap
from dataclasses import dataclass

from workbook.book import Chapter

HEADING = re.compile(r"^#{2,3} Task (\d+)\b", re.MULTILINE)
DETAILS = re.compile(
    r"<details>\s*<summary>(?:\d+\s*·\s*)?(?P<name>.*?)</summary>(?P<text>.*?)</details>", re.DOTALL
)
FENCE = re.compile(r"^```.*?^```[ \t]*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Hint:
    """One hint: what kind it is (`a question`), and its Markdown."""

    name: str
    text: str

    def lines(self, width: int) -> list[str]:
        """The text for a terminal, in lines of at most `width` columns; code stays as it is."""
        lines: list[str] = []
        for part in _parts(self.text):
            if lines:
                lines.append("")
            if part.startswith("```"):
                lines += [f"    {line}" for line in part.splitlines()[1:-1]]
            else:
                lines += _wrapped(part, width)
        return lines


def of(chapter: Chapter, task: int) -> list[Hint]:
    """The hints of a task, in order. None, if the chapter has no hints for it."""
    try:
        page = (chapter.folder / "hints.md").read_text("utf-8")
    except OSError:
        return []
    pieces = HEADING.split(page)
    sections = dict(zip(map(int, pieces[1::2]), pieces[2::2], strict=True))
    return [
        Hint(one["name"].strip(), one["text"].strip()) for one in DETAILS.finditer(sections.get(task, ""))
    ]


def _parts(text: str) -> list[str]:
    """Paragraphs and blocks of code."""
    parts: list[str] = []
    end = 0
    for fence in FENCE.finditer(text):
        parts += text[end : fence.start()].split("\n\n")
        parts.append(fence[0])
        end = fence.end()
    parts += text[end:].split("\n\n")
    return [part.strip("\n") for part in parts if part.strip()]


def _wrapped(paragraph: str, width: int) -> list[str]:
    """A list keeps an item a line; all else flows."""
    items = re.split(r"\n(?=[-*] |\d+\. )", paragraph)
    lines: list[str] = []
    for item in items:
        indent = "  " if re.match(r"[-*] |\d+\. ", item) else ""
        lines += textwrap.wrap(
            " ".join(item.split()),
            width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines
