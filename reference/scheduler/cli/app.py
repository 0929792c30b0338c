"""The command line: which commands there are, in the order in which `--help` shows them."""

import typer

from scheduler.cli import call, jobs, listing, migrate, prune, redis, serve, sql, up, watch

HELP = """
A job scheduler with a gRPC API.

Begin with `scheduler up --demo`: it starts everything and shows jobs at work.
"""

app = typer.Typer(
    name="scheduler",
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SERVE = "Run the scheduler"
JOBS = "Work with jobs"
INSIDE = "Look inside"

app.command(rich_help_panel=SERVE)(up.up)
app.command(rich_help_panel=SERVE)(serve.api)
app.command(rich_help_panel=SERVE)(serve.worker)
app.command(rich_help_panel=SERVE)(migrate.migrate)
app.command(rich_help_panel=JOBS)(jobs.submit)
app.command(rich_help_panel=JOBS)(jobs.get)
app.command(rich_help_panel=JOBS)(watch.watch)
app.command("list", rich_help_panel=JOBS)(listing.list_jobs)
app.command(rich_help_panel=JOBS)(jobs.cancel)
app.command(rich_help_panel=JOBS)(jobs.requeue)
app.command(rich_help_panel=JOBS)(prune.prune)
app.command(rich_help_panel=INSIDE)(call.call)
app.command(
    rich_help_panel=INSIDE,
    # What follows the first word belongs to Redis: -1 is an index, not an option.
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)(redis.redis)
app.command(rich_help_panel=INSIDE)(sql.sql)
