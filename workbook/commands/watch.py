"""`workbook watch`: the tests again on each save."""

from scheduler.cli.failures import Refused

from workbook.commands.arguments import Where, chapter_of
from workbook.commands.status import here


def watch(where: Where = None) -> None:
    """Run the tests again whenever you save, as far as the first red one.

    Watches all chapters, or that of WHERE. Keys: h for a hint, n to go on to what
    is next, a for all tests of the chapter, s for the system as it is now, q to
    quit. Where keys can't be read, it just runs the tests.
    """
    here()
    only = chapter_of(where) if where else None
    try:
        from workbook.watching import Watching
    except ImportError as error:
        raise Refused(f"{error.name} is not installed: pip install -c constraints.txt -e .") from None
    Watching(only).run()
