"""This scheduler beside the queues that people would use instead, in one run on one PostgreSQL and one Redis.

    __main__.py cli.py            the command: `python -m benchmarks`
    run.py visit.py               the rounds; one queue measured once, in a sandbox of its own
    environments.py catalogue.py  a virtual environment for each group of peers; what there is to know about each queue
    figures.py table.py report.py medians, ratios and spreads; the table; JSON and RESULTS.md
    budgets.py budgets.toml       the ratios that must hold

These run in a queue's own environment, so they import the standard library and that queue alone:

    driver.py measures.py         what is measured, by a process that submits
    workers.py holder.py          the worker processes: started, held still, let go, ended
    stamps.py addresses.py        how a job says when it began; where the services are
    queues/                       one file a queue
"""
