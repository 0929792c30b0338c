"""Turns the JSON of `workbook grade` into what GitHub Classroom's reporter reads, and into a page of the run.

    python -m workbook.classroom grade.json

Written are the variables that GitHub Actions names: an output `result` to GITHUB_OUTPUT, a table to
GITHUB_STEP_SUMMARY. Without them, the table goes to standard output.
"""

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any


def result(grade: dict[str, Any]) -> str:
    """What the reporter takes: base64 of JSON, with a test for each task. Bonus points come on top of the most."""
    tests = [
        {
            "name": f"{chapter['name']} task {task['number']}: {task['name']}",
            "status": "pass" if task["state"] == "green" else "fail",
            "score": task["points"],
            "message": task["says"],
            "test_code": f"pytest chapters/{chapter['name']} -k task_{task['number']}_",
            "filename": f"chapters/{chapter['name']}/{task['file']}",
            "line_no": 0,
            "execution_time": 0,
        }
        for chapter in grade["chapters"]
        for task in chapter["tasks"]
        if task["state"] != "not graded"
    ]
    # "pass", though tasks are red: a red cross at each push would say to a learner that something is wrong.
    whole = {"version": 1, "status": "pass", "max_score": grade["of"], "tests": tests}
    return base64.b64encode(json.dumps(whole).encode()).decode()


def page(grade: dict[str, Any]) -> str:
    """A table of the chapters, and everything that a teacher should look at, as Markdown."""
    lines = ["| chapter | points | bonus |", "| --- | --- | --- |"]
    for one in [*grade["chapters"], {**grade, "name": "**all**"}]:
        lines.append(
            f"| {one['name']} | {one['points']} of {one['of']} | {one['bonus']} of {one['bonus_of']} |"
        )
    for chapter in grade["chapters"]:
        if chapter["says"]:
            lines += ["", f"**{chapter['name']}**: {_plain(chapter['says'])}"]
    remarks = [
        f"{one['kind']}: `{one['file']}:{one['line']}` {_plain(one['says'])}" for one in grade["finds"]
    ]
    remarks += [
        f"not as in the book, without effect: {one['how']} `{one['file']}`" for one in grade["differs"]
    ]
    if remarks:
        lines += ["", *(f"- {one}" for one in remarks)]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text of the learner's making, so that it can't become a link or a picture."""
    return "".join(char if char not in "[]<>|`!\n" else " " for char in text)


def main(arguments: list[str]) -> int:
    """Read the file that the only argument names, and write both."""
    grade = json.loads(Path(arguments[0]).read_text("utf-8"))
    _append("GITHUB_OUTPUT", f"result={result(grade)}\n")
    if not _append("GITHUB_STEP_SUMMARY", page(grade)):
        sys.stdout.write(page(grade))
    return 0


def _append(variable: str, text: str) -> bool:
    """Append to the file that a variable names. False if it names none."""
    name = os.environ.get(variable)
    if not name:
        return False
    with Path(name).open("a", encoding="utf-8") as file:
        file.write(text)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
