"""The table: for people on a terminal, and in Markdown for RESULTS.md."""

from collections.abc import Iterable

from rich.table import Table

from benchmarks.figures import MEASURES, Measure, Summary
from benchmarks.run import Line

NOTHING = "–"


def columns() -> list[str]:
    """The titles."""
    return ["queue", *(f"{measure.title} {measure.unit}" for measure in MEASURES), "keeps"]


def rows(lines: Iterable[Line]) -> list[list[str]]:
    """The cells."""
    return [
        [line.entry.title, *(_cell(line, measure) for measure in MEASURES), line.entry.keeps]
        for line in lines
    ]


def on_terminal(lines: Iterable[Line]) -> Table:
    """For rich to print."""
    table = Table(show_lines=True)
    for title in columns():
        table.add_column(title, overflow="fold")
    for row in rows(lines):
        table.add_row(*row)
    return table


def in_markdown(lines: Iterable[Line]) -> str:
    """The same as a Markdown table."""
    titles = columns()
    written = [titles, ["---"] * len(titles), *rows(lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in written)


def _cell(line: Line, measure: Measure) -> str:
    summary = line.summaries.get(measure.name)
    if summary is None:
        # It may not have been asked for, or the queue can't.
        return "failed" if line.error else NOTHING
    return _figure(summary, measure) + _ratio(summary.ratio)


def _figure(summary: Summary, measure: Measure) -> str:
    number = f"{summary.median:,.0f}" if measure.more_is_better else f"{summary.median:.1f}"
    return number if summary.spread is None else f"{number} ±{100 * summary.spread:.0f} %"


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f" · {ratio:.1f}×" if ratio >= 10 else f" · {ratio:.2f}×"
