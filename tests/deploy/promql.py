"""A light reading of PromQL: which series an expression names, and which labels. Its syntax is promtool's business."""

import re
from dataclasses import dataclass, field

WORDS = {"and", "or", "unless", "offset", "bool", "group_left", "group_right", "by", "on", "inf", "nan"}


@dataclass
class Reading:
    """What an expression names."""

    series: set[str] = field(default_factory=set)
    matched: dict[str, set[str]] = field(default_factory=dict)
    """For each series, the labels of its matchers."""
    grouped: set[str] = field(default_factory=set)
    """The labels in `by (…)`."""
    aggregates: bool = False


def read(expression: str) -> Reading:
    """Read one expression. String literals may hold anything; a selector without a name is not understood."""
    reading = Reading()
    bare = re.sub(r'"[^"]*"', '""', expression)
    for labels in re.findall(r"\bby\s*\(([^)]*)\)", bare):
        reading.aggregates = True
        reading.grouped |= _names(labels)
    bare = re.sub(r"\b(?:by|on|without|ignoring)\s*\([^)]*\)", " ", bare)
    bare = re.sub(r"\[[^\]]*\]|\boffset\s+\w+", " ", bare)
    for name, matchers in re.findall(r"(?<![\w:.])([a-zA-Z_:][\w:]*+)(?!\s*\()\s*(\{[^}]*\})?", bare):
        if name not in WORDS:
            reading.series.add(name)
            reading.matched.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
    bare = re.sub(r"\{[^}]*\}", "", bare)
    reading.aggregates |= bool(re.search(r"\b(?:sum|max|min|avg|count|absent|vector)\s*\(", bare))
    return reading


def _names(labels: str) -> set[str]:
    return set(re.findall(r"\w+", labels))
