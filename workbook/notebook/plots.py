"""The plots: queues as rows of boxes, jobs on a time line, leases running down. Colours are those of Okabe and Ito,
which colour-blind readers can tell apart, and nothing is said by colour alone.
"""

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch, Rectangle
from pandas import DataFrame
from scheduler.jobs import TERMINAL, Priority

from workbook.notebook.page import shell

if TYPE_CHECKING:
    from workbook.notebook.system import System

STATE_COLOURS = {
    "queued": "#56B4E9",
    "running": "#0072B2",
    "retry": "#E69F00",
    "succeeded": "#009E73",
    "failed": "#D55E00",
    "deadletter": "#000000",
    "cancelled": "#CC79A7",
}
"""The colour of each state, in every plot."""

PRIORITY_COLOURS = {"critical": "#D55E00", "high": "#E69F00", "default": "#0072B2", "low": "#009E73"}
"""The colour of each priority, in every plot."""

LIGHT = {"#E69F00", "#56B4E9", "#009E73", "#CC79A7"}
"""On these colours text is black."""

MARKS = {"succeeded": "o", "failed": "X", "deadletter": "D", "cancelled": "s"}
WIDTH = 9.0
BOXES = 16
NARROW = 0.09
"""A bar narrower than this part of the axis has no room for its name."""

STYLE: dict[str, Any] = {
    "figure.figsize": (WIDTH, 3.6),
    "figure.dpi": 80,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.min_exponent": 4,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "axes.prop_cycle": cycler(
        color=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
    ),
}


def use_style() -> None:
    """Make every plot of this notebook look alike, and sharp. `connect` does this."""
    for name, setting in STYLE.items():
        mpl.rcParams[name] = setting  # type: ignore[index]
    pd.set_option("display.max_colwidth", 200)
    pd.set_option("display.precision", 3)
    if shell() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("retina")  # type: ignore[no-untyped-call]


def figure(rows: int = 1, columns: int = 1, *, height: float = 3.6, **options: Any) -> tuple[Figure, Any]:
    """A figure of the notebooks' width, and its axes; as `plt.subplots`.

    The figure is shown where a cell ends with it, and nowhere else, so that one plot never comes twice.
    """
    drawn, axes = plt.subplots(rows, columns, figsize=(WIDTH, height), **options)
    plt.close(drawn)
    return drawn, axes


def plot_queues(system: "System", title: str = "The queues in Redis") -> Figure:
    """Each queue as a row of boxes, one for each entry, with its job's first digits. The right end is taken first."""
    drawn, axes = figure(height=2.9)
    for row, priority in enumerate(map(str, Priority)):
        axes.add_patch(Rectangle((-BOXES - 1.4, row - 0.42), BOXES + 1.95, 0.84, facecolor="#f0f0f0"))
        entries = system.entries(priority)
        for place, job in enumerate(entries[:BOXES]):
            _box(axes, -place, row, job[:4], PRIORITY_COLOURS[priority])
        if len(entries) > BOXES:
            axes.text(-BOXES + 0.4, row, f"{len(entries) - BOXES:,} more …", ha="right", va="center")
        elif not entries:
            axes.text(0.4, row, "empty", ha="right", va="center", color="#666666", style="italic")
    axes.annotate(
        "taken from\nthis end", (0.62, -0.75), ha="right", va="center", fontsize=10, annotation_clip=False
    )
    axes.annotate("LPUSH puts new ones on this side", (-BOXES - 1.4, -0.75), va="center", fontsize=10)
    axes.set(
        xlim=(-BOXES - 1.6, 0.7),
        ylim=(3.6, -1.2),
        yticks=range(4),
        yticklabels=[f"q:{one}" for one in Priority],
        xticks=[],
        title=title,
    )
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return drawn


def plot_timeline(
    changes: DataFrame,
    title: str = "What became of each job",
    *,
    lane: str = "job",
    names: dict[str, str] | None = None,
    axes: Axes | None = None,
) -> Figure | None:
    """Jobs on a time line: a bar for each state, and a mark where a job ended.

    `changes` has a row for each new state, as `System.watch` and `System.history` give it: `job`, `state`, `t` in
    seconds, `attempts`. `lane` is the column that names the rows of the plot; `names` has better names for jobs, by
    their ids.
    """
    if names:
        short = {job[:8]: name for job, name in names.items()}
        changes = changes.assign(job=[short.get(job, job) for job in changes["job"]])
    lanes = list(dict.fromkeys((names or {}).values())) if lane == "job" else []
    lanes += [one for one in dict.fromkeys(changes[lane]) if one not in lanes]
    drawn = None
    if axes is None:
        drawn, axes = figure(height=1.6 + 0.42 * len(lanes))
    spans = _spans(changes, lane)
    longest = float(max(spans["end"].max(), 1e-3))
    for span in spans.to_dict("records"):
        _draw_span(axes, span, lanes.index(span[lane]), longest)
    axes.set(
        yticks=range(len(lanes)),
        yticklabels=lanes,
        ylim=(len(lanes) - 0.4, -0.6),
        xlim=(-0.01 * longest, longest * 1.16),
        xlabel="seconds since the first change",
    )
    axes.grid(axis="y", visible=False)
    axes.set_title(title, pad=26)
    shown = [state for state in STATE_COLOURS if state in set(spans["state"]) - set(map(str, TERMINAL))]
    axes.legend(
        handles=[Patch(color=STATE_COLOURS[state], label=state) for state in shown],
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=len(shown) or 1,
        borderaxespad=0.2,
        handlelength=1.2,
    )
    return drawn


def plot_leases(history: DataFrame, axes: Axes, until: float | None = None) -> None:
    """How long the lease of a running job still had, moment by moment: a heartbeat lifts it, and it runs down."""
    rows = history.to_dict("records")
    for here, following in zip(rows, [*rows[1:], None], strict=True):
        if here["state"] != "running":
            continue
        end = float(following["t"]) if following else (until or float(here["t"]))
        left = float(here["lease"])
        axes.plot(
            [here["t"], end], [left, left - (end - here["t"])], color=STATE_COLOURS["running"], linewidth=2
        )
        if following and following["state"] == "running":
            axes.plot(
                [end, end],
                [left - (end - here["t"]), following["lease"]],
                color=STATE_COLOURS["running"],
                linewidth=1,
                linestyle=":",
            )
    axes.axhline(0, color="#666666", linewidth=1)
    axes.set(ylabel="seconds left", xlabel="seconds since the first change")


def _box(axes: Axes, x: float, y: float, text: str, colour: str) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x - 0.36, y - 0.3), 0.72, 0.6, boxstyle="round,pad=0.06", facecolor=colour, edgecolor="none"
        )
    )
    ink = "black" if colour in LIGHT else "white"
    axes.text(x, y, text, ha="center", va="center", color=ink, fontsize=9, family="monospace")


def _spans(changes: DataFrame, lane: str) -> DataFrame:
    """A row for each state that a job was in, with its start and its end."""
    columns = list(dict.fromkeys(["job", lane, "version", "state", "attempts"]))
    firsts = changes.drop_duplicates(["job", "version"]).sort_values(["job", "version"])
    spans = firsts[columns].copy()
    spans["start"] = firsts["t"]
    spans["end"] = firsts.groupby("job")["t"].shift(-1)
    spans["end"] = spans["end"].fillna(spans["start"])
    return spans


def _draw_span(axes: Axes, span: dict[Any, Any], row: int, longest: float) -> None:
    state, start, length = str(span["state"]), float(span["start"]), float(span["end"] - span["start"])
    colour = STATE_COLOURS[state]
    if state in MARKS and not length:
        axes.plot(start, row, MARKS[state], color=colour, markersize=9, markeredgecolor="white", zorder=3)
        axes.text(start + 0.015 * longest, row, state, va="center", fontsize=10)
        return
    axes.barh(row, length, left=start, height=0.62, color=colour, edgecolor="white", linewidth=0.8)
    name = f"attempt {span['attempts']}" if state == "running" else state
    if length > NARROW * longest:
        axes.text(
            start + length / 2,
            row,
            name,
            ha="center",
            va="center",
            fontsize=9,
            color="black" if colour in LIGHT else "white",
        )
