"""What a statement answers, laid out as psql lays it out."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len

Cell = str | None

# int8, int2, int4, oid, xid, cid, float4, float8, money, numeric: psql writes these at the right edge.
NUMBERS = frozenset({20, 21, 23, 26, 28, 29, 700, 701, 790, 1700})


class Column(NamedTuple):
    """A column's name, and whether it holds numbers."""

    name: str
    is_number: bool = False


def table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Iterator[str]:
    """The lines of an aligned table, with its row count below. NULL is empty; a cell with line breaks takes several."""
    cells = [[_lines(cell or "") for cell in row] for row in rows]
    widths = [
        max([cell_len(column.name), *(cell_len(line) for row in cells for line in row[index])])
        for index, column in enumerate(columns)
    ]
    if columns:
        yield "|".join(
            f" {_centred(column.name, width)} " for column, width in zip(columns, widths, strict=True)
        )
    yield "+".join("-" * (width + 2) for width in widths) or "--"
    for row in cells:
        for number in range(max(map(len, row), default=0)):
            yield _line(columns, widths, row, number)
    yield f"({len(rows)} row{'' if len(rows) == 1 else 's'})"


def _line(columns: Sequence[Column], widths: Sequence[int], row: Sequence[list[str]], number: int) -> str:
    """One line of a row: a plus sign behind each cell that goes on in the next line."""
    parts = []
    for index, (column, width, lines) in enumerate(zip(columns, widths, row, strict=True)):
        is_last = index == len(columns) - 1
        text = lines[number] if number < len(lines) else ""
        space = " " * (width - cell_len(text))
        if number + 1 < len(lines):
            parts.append(f" {space}{text}+" if column.is_number else f" {text}{space}+")
        elif is_last:  # nothing pads the last column on its right
            parts.append(f" {space}{text}" if column.is_number and number < len(lines) else f" {text}")
        else:
            parts.append(f" {space}{text} " if column.is_number else f" {text}{space} ")
    return "|".join(parts)


def _lines(text: str) -> list[str]:
    """A cell's lines, with every control character escaped: a terminal would obey it."""
    return ["".join(map(_escaped, line.expandtabs(8))) for line in text.split("\n")]


def _escaped(char: str) -> str:
    if char == "\r":
        return "\\r"
    return f"\\x{ord(char):02X}" if ord(char) < 32 or 127 <= ord(char) < 160 else char


def _centred(text: str, width: int) -> str:
    space = width - cell_len(text)
    return " " * (space // 2) + text + " " * (space - space // 2)
