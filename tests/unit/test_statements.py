"""What CockroachDB refuses and PostgreSQL takes stands in no statement. CockroachDB itself is not at hand."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
import scheduler

WRITES = re.compile(r"(\w+) AS \(\s*(?:INSERT|UPDATE|DELETE)\b")
WRITTEN = re.compile(r"\b(?:INSERT INTO|(?<!FOR )(?<!DO )UPDATE|DELETE FROM)\s+(\w+)")
LACKS = re.compile(r"pg_(?:try_)?advisory|\b(?:LISTEN|NOTIFY|MERGE INTO|TABLESAMPLE|ctid|xmin)\b")


def texts(source):
    """The strings of a module; what an f-string puts in is left out."""
    nodes = list(ast.walk(ast.parse(source)))
    joined = [node.values for node in nodes if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for values in joined for part in values}
    for values in joined:
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in values)
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in parts:
            yield node.value if isinstance(node.value, str) else node.value.decode("utf-8", "replace")


def statements():
    root = Path(scheduler.__file__).parent
    for file in sorted(root.rglob("*.py")):
        for text in texts(file.read_text("utf-8")):
            if re.search(r"\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM)\s", text):
                yield f"{file.relative_to(root)}: {' '.join(text.split())}"


def within(text, start):
    """What stands between the parenthesis that ends before `start` and its partner."""
    depth = 1
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return text[start:place]
    return text[start:]


def refusals(statement):
    """Why CockroachDB would refuse this statement."""
    for found in WRITES.finditer(statement):
        if "RETURNING" not in within(statement, statement.index("(", found.start()) + 1):
            yield f"WITH clause {found[1]!r} does not return any columns"
    if "WITH " in statement:
        for table, times in Counter(WRITTEN.findall(statement)).items():
            if times > 1:
                yield f"{table!r} is changed {times} times in one statement"
    if found := LACKS.search(statement):
        yield f"{found[0]!r} is not known"


def test_the_statements_are_found():
    found = list(statements())
    assert sum(bool(WRITES.search(statement)) for statement in found) >= 3
    assert any(statement.startswith("worker/one_job.py: WITH ours AS (") for statement in found)


def test_cockroachdb_would_take_every_statement():
    assert {statement: why for statement in statements() if (why := list(refusals(statement)))} == {}


@pytest.mark.parametrize(
    "statement",
    [
        "WITH gone AS (DELETE FROM a RETURNING id), b AS (INSERT INTO b SELECT lower(id) FROM gone) SELECT 1",
        "WITH c AS (UPDATE a SET x = 1 RETURNING id) DELETE FROM a WHERE x = 2",
        "SELECT pg_advisory_lock(1)",
    ],
)
def test_what_it_would_not_take_is_seen(statement):
    assert len(list(refusals(statement))) == 1
