"""`workbook catch-up`: earlier chapters from the reference, without touching your files."""

from typing import Annotated

import typer
from scheduler.cli.failures import Misused, Refused
from scheduler.cli.show import dim, say

from workbook import caught_up, screen
from workbook.book import chapters
from workbook.commands.arguments import Where, chapter_of
from workbook.commands.status import here


def catch_up(
    where: Where = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back: every chapter is yours again.")] = False,
) -> None:
    """Fill the chapters before WHERE from the reference, and go on there.

    Your files stay as they are, and what is green in them is still used. Only
    a note is made, in .workbook/caught-up.json.

    Examples:

      workbook catch-up 4
      workbook catch-up --undo
    """
    if undo == bool(where):
        raise Misused("say where you want to go on, as in workbook catch-up 4, or --undo")
    names = [one.name for one in chapters()]
    first = names.index(chapter_of(where).name) if where else 0
    standing = here()
    missing = [one.chapter for one in standing.chapters[:first] if not one.core_is_green]
    try:
        caught_up.fill(missing)
    except OSError as error:
        raise Refused(f"{caught_up.FILE} can't be written: {error.strerror}") from None
    if undo:
        say("Every chapter is yours again.")
    elif missing:
        say(f"From the reference: {', '.join(one.name for one in missing)}. Your files are untouched.")
        say(dim("Without you, workbook serve runs them; workbook catch-up --undo takes it back."))
    else:
        say("Nothing to fill: the core of every chapter before it is green.")
    say()
    for line in screen.next_step(here()):
        say(line)
