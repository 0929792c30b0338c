"""`python -m benchmarks`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from scheduler.cli.show import for_any_terminal
from scheduler.embedded import EmbeddedError

from benchmarks import budgets, report, table
from benchmarks.catalogue import OURS, PEERS, Entry
from benchmarks.environments import SetupFailed, set_up
from benchmarks.run import Results, run

NAMES = ", ".join(entry.name for entry in PEERS)

Queues = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help=f"Beside ours: {NAMES}. Left out, all of them; `ours` is ours alone."),
]
Jobs = Annotated[int, typer.Option(min=1, max=100_000, help="How many jobs a measure has at most.")]
Rounds = Annotated[int, typer.Option(min=1, max=20, help="How often everything is measured.")]
Seconds = Annotated[float, typer.Option(min=0.1, max=60, help="How long a measure lasts at most.")]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there too.")]
Budgets = Annotated[Path, typer.Option(metavar="FILE", help="The ratios that must hold.")]
Write = Annotated[bool, typer.Option("--write", help="Write benchmarks/RESULTS.md.")]

# Wide enough for the table wherever the output goes: a file has no width.
console = Console(width=200 if not sys.stdout.isatty() else None, highlight=False)
progress = Console(stderr=True, highlight=False)


def main() -> None:
    """Run the command line."""
    for_any_terminal()
    typer.run(benchmarks)


def benchmarks(
    queues: Queues = None,
    jobs: Jobs = 5_000,
    rounds: Rounds = 3,
    seconds: Seconds = 2.0,
    json_file: JsonFile = None,
    budgets_file: Budgets = budgets.BUDGETS,
    write: Write = False,
) -> None:
    """Measure this scheduler beside other queues, on one PostgreSQL and one Redis.

    Exit codes: 0 done; 1 a budget was broken, or a queue could not be
    measured; 2 wrong usage; 130 Ctrl-C.
    """
    if sys.platform == "win32":
        _fail("the benchmarks stop and continue processes by signals, which Windows does not have")
    try:
        peers = _chosen(queues)
        limits = budgets.read(budgets_file)
        set_up(peers, progress.print)
        results = run(peers, jobs, rounds, seconds, progress.print)
    except (SetupFailed, EmbeddedError, budgets.WrongBudgets) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        progress.print("Stopped.")
        raise typer.Exit(130) from None
    verdicts = budgets.check(limits, results)
    if json_file is not None:
        json_file.write_text(json.dumps(report.as_json(results, verdicts), indent=2) + "\n", encoding="utf-8")
    if write:
        report.RESULTS.write_text(report.as_markdown(results, verdicts), encoding="utf-8")
    _show(results, verdicts)
    if results.failures or any(verdict.broken for verdict in verdicts):
        raise typer.Exit(1)


def _show(results: Results, verdicts: list[budgets.Verdict]) -> None:
    console.print(table.on_terminal(results.lines))
    for text in (report.LEGEND, report.conditions(results), *results.failures):
        console.print(text)
    console.print("Budgets" if verdicts else "No budgets.")
    judged = [verdict for verdict in verdicts if verdict.ratio is not None]
    for verdict in judged:
        console.print(f"  {verdict.sentence}")
    if len(judged) < len(verdicts):
        console.print(f"  {len(verdicts) - len(judged)} others are about what this run did not measure")


def _chosen(queues: str | None) -> list[Entry]:
    """The peers that were asked for. Raises `typer.BadParameter` if there is no such queue."""
    if queues is None:
        return PEERS
    by_name = {entry.name: entry for entry in PEERS}
    asked = [name.strip() for name in queues.split(",") if name.strip()]
    for name in asked:
        if name not in by_name and name != OURS.name:
            raise typer.BadParameter(
                f"there is no queue {name}; there are {OURS.name}, {NAMES}", param_hint="--queues"
            )
    return [by_name[name] for name in dict.fromkeys(asked) if name != OURS.name]


def _fail(text: str) -> None:
    progress.print(text)
    raise typer.Exit(2)
