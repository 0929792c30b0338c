"""The ratios that must hold. No test asserts a time; a run of the benchmarks reports which budgets were broken."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.catalogue import PEERS
from benchmarks.figures import MEASURES, Measure
from benchmarks.run import Results

BUDGETS = Path(__file__).with_name("budgets.toml")


class WrongBudgets(Exception):
    """The file says something that no budget can mean."""


@dataclass(frozen=True)
class Budget:
    """Ours ÷ theirs is at least `limit` where more is better, and at most `limit` where less is."""

    measure: Measure
    queue: str
    limit: float

    def holds(self, ratio: float) -> bool:
        return ratio >= self.limit if self.measure.more_is_better else ratio <= self.limit

    def sentence(self, ratio: float | None) -> str:
        """What became of it."""
        bound = f"at {'least' if self.measure.more_is_better else 'most'} {self.limit:g}"
        what = f"{self.measure.title}, ours ÷ {self.queue}"
        if ratio is None:
            return f"not measured: {what} should be {bound}"
        return f"{'kept' if self.holds(ratio) else 'BROKEN'}: {what} is {ratio:.2f}, and should be {bound}"


@dataclass(frozen=True)
class Verdict:
    """A budget, and the ratio that was measured; None if this run did not measure it."""

    budget: Budget
    ratio: float | None

    @property
    def broken(self) -> bool:
        return self.ratio is not None and not self.budget.holds(self.ratio)

    @property
    def sentence(self) -> str:
        return self.budget.sentence(self.ratio)


def read(path: Path) -> list[Budget]:
    """The budgets of a file. Raises `WrongBudgets` with a sentence."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WrongBudgets(f"{path} can't be read: {error}") from None
    return list(_budgets(tables, path))


def check(budgets: list[Budget], results: Results) -> list[Verdict]:
    """What became of each budget in this run."""
    ratios = {
        (line.entry.name, name): summary.ratio
        for line in results.lines
        for name, summary in line.summaries.items()
    }
    return [Verdict(budget, ratios.get((budget.queue, budget.measure.name))) for budget in budgets]


def _budgets(tables: dict[str, Any], path: Path) -> Iterator[Budget]:
    measures = {measure.name: measure for measure in MEASURES}
    queues = [entry.name for entry in PEERS]
    for name, limits in tables.items():
        if name not in measures:
            raise WrongBudgets(f"{path}: [{name}] is no measure; there are {', '.join(measures)}")
        for queue, limit in limits.items():
            if queue not in queues:
                raise WrongBudgets(f"{path}: {queue} is no queue; there are {', '.join(queues)}")
            if isinstance(limit, bool) or not isinstance(limit, int | float) or limit <= 0:
                raise WrongBudgets(f"{path}: {name}.{queue} must be a number above 0, not {limit!r}")
            yield Budget(measures[name], queue, float(limit))
