"""What Prometheus does, in a few lines: scrape, sum, rate, and a quantile of a histogram."""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pandas as pd
from matplotlib.figure import Figure
from pandas import DataFrame, Series
from prometheus_client.parser import text_string_to_metric_families

from workbook.notebook.page import NotebookError
from workbook.notebook.plots import figure

if TYPE_CHECKING:
    from workbook.notebook.system import System

SCRAPE_SECONDS = 5.0
_direct = build_opener(ProxyHandler({}))  # no proxy for the web: these ports are on this machine


@dataclass(frozen=True)
class Scrape:
    """What all processes of a system said at one moment: a row a sample, with its labels as columns."""

    t: float
    """When, on a monotonic clock, in seconds."""
    samples: DataFrame

    def matching(self, name: str, **labels: str) -> DataFrame:
        """The samples of one name, and of these labels."""
        found = self.samples[self.samples["name"] == name]
        for label, wanted in labels.items():
            found = found[[one.get(label) == wanted for one in found["labels"]]]
        return found


def metrics_page(url: str) -> str:
    """The page behind an address, as Prometheus gets it."""
    try:
        with _direct.open(url, timeout=SCRAPE_SECONDS) as answer:
            text: str = answer.read().decode()
            return text
    except (URLError, OSError) as error:
        raise NotebookError(f"Nothing to scrape at {url}: {error}") from None


def scrape(system: "System") -> Scrape:
    """Ask every process of a system once."""
    rows = [
        (process, sample.name, dict(sample.labels), float(sample.value))
        for process, url in system.metrics_urls.items()
        for family in text_string_to_metric_families(metrics_page(url))
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]
    return Scrape(time.monotonic(), pd.DataFrame(rows, columns=["process", "name", "labels", "value"]))


def observed(
    system: "System",
    during: Callable[[], Any],
    *,
    every: float = 0.25,
    before: Callable[[], Any] | None = None,
) -> list[Scrape]:
    """Scrape again and again while `during` runs; `before` is called before each scrape. Raises what `during` does."""
    scrapes = []
    with ThreadPoolExecutor(1) as thread:
        work = thread.submit(during)
        is_last = False
        while not is_last:
            is_last = work.done()
            if before is not None:
                before()
            scrapes.append(scrape(system))
            time.sleep(0 if is_last else every)
        work.result()
    return scrapes


def value(one: Scrape, name: str, **labels: str) -> float:
    """The sum of a metric over all labels that are not given; 0 if there is none yet."""
    return float(one.matching(name, **labels)["value"].sum())


def series(scrapes: list[Scrape], name: str, **labels: str) -> Series:
    """A metric over time, seconds since the first scrape in the index."""
    began = scrapes[0].t
    return pd.Series({one.t - began: value(one, name, **labels) for one in scrapes}, name=name)


def rate(counter: Series, over: float = 1.0) -> Series:
    """How fast a counter rises, per second, over windows of about so many seconds: Prometheus's `rate`.

    A counter that falls has begun anew at zero with its process, so what it shows then is all new.
    """
    seconds = counter.index.to_series()
    step = float(seconds.diff().median())
    window = max(1, round(over / step)) if step > 0 else 1
    rises = counter.diff()
    rises = rises.where(rises >= 0, counter)
    return rises.rolling(window).sum() / seconds.diff(window)


def buckets(one: Scrape, name: str, since: Scrape | None = None, **labels: str) -> Series:
    """A histogram's buckets: how many observations were at most so large, upper bounds in the index.

    With `since`, only those that have come since that scrape.
    """
    found = _cumulative(one, name, labels)
    if since is not None:
        found = found.sub(_cumulative(since, name, labels), fill_value=0)
    return found


def quantile(cumulative: Series, q: float) -> float:
    """The value that a part `q` of all observations is at most: Prometheus's `histogram_quantile`.

    Within a bucket it knows nothing, and draws a straight line.
    """
    total = float(cumulative.iloc[-1])
    if not total:
        return math.nan
    lower, below = 0.0, 0.0
    for bound, count in _pairs(cumulative):
        if count >= q * total:
            if math.isinf(bound):
                return lower
            return lower + (bound - lower) * (q * total - below) / (count - below)
        lower, below = bound, count
    return lower


def plot_buckets(cumulative: Series, title: str, marks: dict[str, float], xlabel: str) -> Figure:
    """A histogram as Prometheus keeps it: the part of all observations at or below each bound, and values to mark.

    A mark's colour is that of its name's first word ("p95 exactly"); exact ones have a line without gaps.
    """
    drawn, axes = figure(height=3.8)
    parts = cumulative / cumulative.iloc[-1]
    finite = parts[[not math.isinf(bound) for bound in parts.index]]
    axes.plot(finite.index, finite.to_numpy(), "o-", label="the bounds of the buckets")
    first_words = list(dict.fromkeys(name.partition(" ")[0] for name in marks))
    for name, at in marks.items():
        colour = f"C{1 + first_words.index(name.partition(' ')[0])}"
        line = "-" if "exact" in name else "--"
        axes.axvline(at, color=colour, linestyle=line, label=f"{name}: {at:.3f}")
    axes.set(xscale="log", xlabel=xlabel, ylabel="part at or below", title=title, ylim=(-0.03, 1.06))
    axes.legend(loc="upper left")
    return drawn


def _cumulative(one: Scrape, name: str, labels: dict[str, str]) -> Series:
    found = one.matching(f"{name}_bucket", **labels)
    bounds = [float(each["le"]) for each in found["labels"]]
    counts = pd.Series(found["value"].to_numpy(), index=pd.Index(bounds, name="at most"), name="observations")
    return counts.groupby(level=0).sum().sort_index()


def _pairs(cumulative: Series) -> Iterator[tuple[float, float]]:
    for bound, count in cumulative.items():
        yield float(str(bound)), float(count)
