"""From the figures of single visits to medians, spreads and ratios."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

from benchmarks.visit import Visit


@dataclass(frozen=True)
class Measure:
    """One thing that is measured."""

    name: str
    title: str
    unit: str

    @property
    def more_is_better(self) -> bool:
        return self.unit == "/s"


MEASURES = [
    Measure("submit", "submit, 1 caller", "/s"),
    Measure("bulk", "bulk submit", "/s"),
    Measure("drain_1", "drain, 1 worker", "/s"),
    Measure("drain_2", "drain, 2 workers", "/s"),
    Measure("end_to_end", "end to end, 32 in flight", "/s"),
    Measure("pickup_p50", "pickup p50", "ms"),
    Measure("pickup_p99", "pickup p99", "ms"),
]


@dataclass(frozen=True)
class Round:
    """One visit to a queue, and those to ours right before and right after it."""

    visit: Visit
    before: Visit
    after: Visit

    def ratio(self, measure: str) -> float | None:
        """Ours ÷ theirs."""
        theirs = self.visit.figures.get(measure)
        ours = [one for one in (self.before.figures.get(measure), self.after.figures.get(measure)) if one]
        return mean(ours) / theirs if theirs and ours else None


@dataclass(frozen=True)
class Summary:
    """One measure of one queue over all rounds."""

    median: float
    spread: float | None
    """Half the distance from the least to the largest, as a part of the median. None if there is one figure only."""
    ratio: float | None = None
    """Ours ÷ theirs: the median of the rounds' ratios. None for ours."""

    @classmethod
    def of(cls, values: Sequence[float | None], ratios: Sequence[float | None] = ()) -> "Summary | None":
        """None if nothing was measured."""
        numbers = [value for value in values if value is not None]
        if not numbers:
            return None
        middle = median(numbers)
        spread = (max(numbers) - min(numbers)) / 2 / middle if middle and len(numbers) > 1 else None
        known = [ratio for ratio in ratios if ratio is not None]
        return cls(middle, spread, median(known) if known else None)


Summaries = dict[str, Summary]
"""By the name of the measure."""


def summarize(visits: Sequence[Visit], rounds: Sequence[Round] = ()) -> Summaries:
    """All measures of one queue. `rounds` is empty for ours, which is compared with nobody."""
    found = {}
    for measure in MEASURES:
        values = [one.figures.get(measure.name) for one in visits]
        ratios = [one.ratio(measure.name) for one in rounds]
        if summary := Summary.of(values, ratios):
            found[measure.name] = summary
    return found
