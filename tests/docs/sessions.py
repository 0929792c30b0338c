"""Many test sessions in one process, which a run of `pytest` is without its start.

A line on standard input is the arguments of one, as JSON; a line on standard output its exit code and what it said.
"""

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from workbook.sandbox import servers


def session(arguments: list[str]) -> tuple[int, str]:
    """Run pytest with these arguments; its exit code, and its output."""
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        code = pytest.main(arguments)
    return int(code), output.getvalue()


def main() -> None:
    # What a test prints past Python goes to standard error: the answers have their output for themselves.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers, servers():
        os.dup2(2, 1)
        for line in sys.stdin:
            print(json.dumps(session(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
