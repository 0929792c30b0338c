"""`workbook reset`: a skeleton back as it was handed out."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from scheduler.cli.failures import Misused, Refused
from scheduler.cli.show import say

from workbook import files, places, skeletons
from workbook.commands.arguments import Where, place


def reset(
    where: Where = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Bring a chapter's file back as it was handed out.

    Your version is kept beside it, with the time in its name. A chapter's number
    says which files it has.

    Examples:

      workbook reset job_queue.py
      workbook reset 6
    """
    if not where:
        raise Misused("say which file, as in workbook reset job_queue.py; a chapter's number lists its files")
    found = place(where)
    chapter, name = found.chapter, found.file
    if not name:
        files_of = ", ".join(places.short(chapter.folder / name) for name in chapter.modules)
        raise Misused(f"reset takes one file, and chapter {chapter.number} has these: {files_of}")
    path = chapter.folder / name
    skeleton = skeletons.find(chapter, name)
    if skeleton is None:
        raise Refused(
            f"neither git nor .workbook knows the skeleton of {places.short(path)}: copy it from where the book is from"
        )
    text, source = skeleton
    if path.exists() and path.read_bytes() == text:
        say(f"{places.short(path)} is as it was handed out already.")
        return
    if not yes and not _agreed(f"Put {places.short(path)} back as it was handed out? Yours is kept."):
        say("Nothing has changed.")
        raise typer.Exit(1)
    try:
        kept = _put(path, text)
    except OSError as error:
        raise Refused(f"{places.short(path)} can't be written: {error.strerror}") from None
    say(f"{places.short(path)} is a skeleton again (from {source}).")
    if kept is not None:
        say(f"Yours is kept as {places.short(kept)}.")


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise Refused("this asks first, and nobody can answer here: say --yes")
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _put(path: Path, text: bytes) -> Path | None:
    """Write the skeleton; first keep what is there. Returns where that is kept."""
    kept = None
    if path.exists():
        kept = _free_name(path)
        files.write(kept, path.read_bytes())
    files.write(path, text)
    return kept


def _free_name(path: Path) -> Path:
    """`job_queue.py.2026-11-24-093000`: it ends in no .py, so that nothing takes it for code."""
    stamp = f"{datetime.now():%Y-%m-%d-%H%M%S}"
    name = path.with_name(f"{path.name}.{stamp}")
    number = 2
    while name.exists():
        name = path.with_name(f"{path.name}.{stamp}-{number}")
        number += 1
    return name
