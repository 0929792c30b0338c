"""Runs one example of Python, and writes as JSON what each of its lines printed. Not imported: run with its path."""

import builtins
import json
import re
import sys
from pathlib import Path
from typing import Any

NAME = "example.py"
CLAIM = re.compile(r"^# (?P<code>.+?) raises (?P<error>\w+)\b", re.MULTILINE)


def main() -> None:
    text = Path(sys.argv[1]).read_text("utf-8")
    lines: list[tuple[int, str]] = []
    really_print = builtins.print

    def record(*values: Any, **options: Any) -> None:
        frame = sys._getframe(1)
        if frame.f_code.co_filename == NAME:
            lines.append((frame.f_lineno, " ".join(map(str, values))))
        else:
            really_print(*values, **options)

    builtins.print = record
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, NAME, "exec"), names)
    really_print(json.dumps({"lines": lines, "wrong": [*_wrong_claims(text, names)]}))


def _wrong_claims(text: str, names: dict[str, Any]) -> list[str]:
    """Of comments as `# x = 1 raises TypeError: …`, those that are not so."""
    wrong = []
    for claim in CLAIM.finditer(text):
        try:
            exec(claim["code"], names)
        except Exception as error:
            if type(error).__name__ == claim["error"]:
                continue
        wrong.append(f"`{claim['code']}` does not raise {claim['error']}")
    return wrong


main()
