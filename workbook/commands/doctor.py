"""`workbook doctor`: whether this machine can run all of it."""

import typer
from scheduler.cli.show import dim, say


def doctor() -> None:
    """Check what the workbook needs, and say how to mend what is wrong.

    Python, packages, git, folders, ports, and the services, which are started
    and stopped again. The exit code is 1 if anything is wrong.
    """
    from workbook.service_checks import all_checks

    wrong = 0
    for check in all_checks():
        wrong += bool(check.remedy)
        mark = (
            typer.style("✗", fg=typer.colors.RED) if check.remedy else typer.style("✓", fg=typer.colors.GREEN)
        )
        # A path or a reason may be long: a terminal breaks the line, and nothing of it is lost.
        say(f"  {mark} {check.name:<10} {check.says}")
        if check.remedy:
            say(f"      {dim('→')} {check.remedy}")
    say()
    if wrong:
        say(f"  {wrong} {'thing is' if wrong == 1 else 'things are'} wrong.")
        raise typer.Exit(1)
    say("  All is well.")
