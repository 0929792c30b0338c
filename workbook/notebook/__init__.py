"""What the notebooks share, so that their cells stay short: a system to look at, tables and plots.

from workbook import notebook as nb

system = nb.connect()                   the running system, or one of this notebook's own
system.submit("noop", 3)                three jobs; gives their ids
system.jobs()                           the newest jobs, as a data frame
system.sql("SELECT …")                  a query, as a data frame
nb.plot_queues(system)                  the four queues of Redis, entry by entry
nb.plot_timeline(system.watch(ids))     the states of jobs on a time line

`docs/notebooks.md` describes it all. Nothing here needs an `await`: the server runs in a thread of its own.
"""

from workbook.notebook.connecting import NotConnected, connect
from workbook.notebook.own import my_parts, my_pieces
from workbook.notebook.page import NotebookError, card, note, quick, size
from workbook.notebook.plots import (
    PRIORITY_COLOURS,
    STATE_COLOURS,
    figure,
    plot_leases,
    plot_queues,
    plot_timeline,
)
from workbook.notebook.scraping import (
    Scrape,
    buckets,
    metrics_page,
    observed,
    plot_buckets,
    quantile,
    rate,
    scrape,
    series,
    value,
)
from workbook.notebook.system import CallFailed, System, WorkerProcess, WorkerThread

__all__ = [
    "PRIORITY_COLOURS",
    "STATE_COLOURS",
    "CallFailed",
    "NotConnected",
    "NotebookError",
    "Scrape",
    "System",
    "WorkerProcess",
    "WorkerThread",
    "buckets",
    "card",
    "connect",
    "figure",
    "metrics_page",
    "my_parts",
    "my_pieces",
    "note",
    "observed",
    "plot_buckets",
    "plot_leases",
    "plot_queues",
    "plot_timeline",
    "quantile",
    "quick",
    "rate",
    "scrape",
    "series",
    "size",
    "value",
]
