"""The run says how much it has proved."""

from typing import Any

from tests.chapters.runner import answers
from workbook.book import chapters


def pytest_terminal_summary(terminalreporter: Any) -> None:
    counts = ", ".join(f"{len(answers(kind))} {kind}" for kind in ("mistakes", "alternatives", "steps"))
    terminalreporter.write_line(f"{len(chapters())} chapters: {counts}")
