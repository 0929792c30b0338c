"""The `workbook` command: which commands there are, in the order in which `--help` shows them.

Exit codes: 0 done, or green; 1 red, or refused; 2 wrong usage; 130 Ctrl-C.
"""

import os
import sys

import typer

from workbook import export, grade
from workbook.commands import catch_up, diff, doctor, hint, look, reset, serve, status, test, watch

HELP = """
Your companion through the chapters.

`workbook` alone says where you are, and what to do next.
"""

app = typer.Typer(
    name="workbook",
    help=HELP,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def workbook(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        status.status()


app.command("test")(test.run_tests)
app.command()(watch.watch)
app.command()(hint.hint)
app.command()(serve.serve)
app.command()(look.look)
app.command()(reset.reset)
app.command("catch-up")(catch_up.catch_up)
app.command()(diff.diff)
app.command()(doctor.doctor)
app.command()(grade.grade)
app.command()(export.export)


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    # gRPC's core writes complaints of its own to standard error, before ours, which say more.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from scheduler.cli.failures import Failure
    from scheduler.cli.show import complain, for_any_terminal

    for_any_terminal()
    try:
        code = app(standalone_mode=False)
    except Failure as failure:
        complain(str(failure))
        code = failure.code
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        # A wrong word on the command line. Its sentence is enough; the usage is a --help away.
        sentence = error.format_message().rstrip(".")
        complain(
            f"{sentence}; `workbook --help` lists them"
            if sentence.startswith("No such command")
            else sentence
        )
        code = getattr(error, "exit_code", 2)
    sys.exit(code)
