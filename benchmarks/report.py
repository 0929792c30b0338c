"""What is left of a run: JSON for programs, RESULTS.md for people."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.budgets import Verdict
from benchmarks.run import Results
from benchmarks.table import in_markdown

RESULTS = Path(__file__).with_name("RESULTS.md")


def conditions(results: Results) -> str:
    """Under which conditions this was measured, in one sentence."""
    before, after = results.load
    return (
        f"Measured on {results.began:%Y-%m-%d} on {results.machine}, load average {before:.1f} before and "
        f"{after:.1f} after; at most {results.jobs:,} jobs or {results.limit:g} s a measure, {results.rounds} "
        f"{'round' if results.rounds == 1 else 'rounds'}, {results.seconds / 60:.0f} minutes in all."
    )


LEGEND = (
    "Each cell: the median, ± half the distance from the least to the largest of the rounds, and ours ÷ theirs "
    "(ours being the first row, measured right before and right after). With rates, more than 1× means that ours "
    "is faster; with pickup, less than 1× does."
)


def as_json(results: Results, verdicts: list[Verdict]) -> dict[str, Any]:
    """Everything, with times in seconds, rates in jobs a second and latencies in milliseconds."""
    return {
        "began": results.began.isoformat(),
        "seconds": results.seconds,
        "machine": results.machine,
        "load": results.load,
        "limits": {"jobs": results.jobs, "rounds": results.rounds, "seconds": results.limit},
        "queues": {
            line.entry.name: {
                "title": line.entry.title,
                "keeps": line.entry.keeps,
                "versions": line.versions,
                "error": line.error,
                "measures": {name: asdict(summary) for name, summary in line.summaries.items()},
            }
            for line in results.lines
        },
        "budgets": [
            {
                "measure": verdict.budget.measure.name,
                "queue": verdict.budget.queue,
                "limit": verdict.budget.limit,
                "ratio": verdict.ratio,
                "broken": verdict.broken,
            }
            for verdict in verdicts
        ],
    }


def as_markdown(results: Results, verdicts: list[Verdict]) -> str:
    """RESULTS.md."""
    versions = sorted(
        {f"{name} {number}" for line in results.lines for name, number in line.versions.items()}
    )
    parts = [
        "# What was measured last",
        conditions(results) + " [README.md](README.md) says what the columns mean, and what they don't say.",
        in_markdown(results.lines),
        LEGEND,
        f"Versions: {', '.join(versions)}." if versions else "",
        "## Budgets" if verdicts else "",
        "\n".join(f"- {verdict.sentence}" for verdict in verdicts),
        "\n".join(results.failures),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
