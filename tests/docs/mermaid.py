"""A light check of drawings: each line is one that Mermaid knows, and what opens is closed.

It is no parser of Mermaid: it knows the three kinds of drawing that the book has, and is stricter than Mermaid.
"""

import re
from collections.abc import Iterator

TEXT = r'"[^"]*"'
LABEL = r"[^\[\](){}|\"]+"
SHAPE = "|".join(
    rf"{left}(?:{TEXT}|{LABEL}){right}"
    for left, right in [
        (r"\(\[", r"\]\)"),
        (r"\[\[", r"\]\]"),
        (r"\[\(", r"\)\]"),
        (r"\[", r"\]"),
        (r"\{", r"\}"),
        (r"\(", r"\)"),
    ]
)
NODE = rf"[A-Za-z]\w*(?:{SHAPE})?"
NODES = rf"{NODE}(?: & {NODE})*"
EDGE = rf"(?:-->|---|-\.->|-\.-|==>|-- (?:{TEXT}|[^-\"]+) --[->]|-\. (?:{TEXT}|[^\"]+?) \.->?)"
NAME = r"[A-Za-z]\w*"
STATE = rf"(?:{NAME}|\[\*\])"

KINDS = {
    r"flowchart (LR|RL|TD|TB|BT)": (
        rf"subgraph {NAME}( ?\[(?:{TEXT}|{LABEL})\])?|direction (LR|RL|TD|TB|BT)|end|{NODES}( {EDGE} {NODES})*",
        r"subgraph .*",
    ),
    r"sequenceDiagram": (
        rf"(participant|actor) {NAME}( as .+)?|autonumber|{NAME}(->>|-->>|->|-->|-x|--x|-\)|--\)){NAME}: .+"
        rf"|Note (over|left of|right of) {NAME}(,{NAME})?: .+|(alt|else|opt|loop|par|and|rect|critical|break) .+|end",
        r"(alt|opt|loop|par|rect|critical|break) .*",
    ),
    r"stateDiagram-v2": (
        rf'direction (LR|RL|TB|BT)|state "[^"]+" as {NAME}|state {NAME} \{{|\}}|{NAME}: .+|{STATE} --> {STATE}(: .+)?',
        r"state .* \{",
    ),
}


def faults(text: str) -> Iterator[str]:
    """A sentence for each line that Mermaid would not draw."""
    head, *lines = [line.strip() for line in text.splitlines() if line.strip() and "%%" not in line]
    kind = next((kind for kind in KINDS if re.fullmatch(kind, head)), None)
    if kind is None:
        yield f"{head!r} is no kind of drawing that is known here"
        return
    known, opening = KINDS[kind]
    depth = 0
    for line in lines:
        if not re.fullmatch(known, line):
            yield f"{line!r} is no line of a {head.split()[0]}"
        if kind == "sequenceDiagram" and re.search("[;#]", line):
            yield f"{line!r}: Mermaid takes a semicolon for the end of a line, and # for the start of a comment"
        depth += bool(re.fullmatch(opening, line)) - (line in ("end", "}"))
        if depth < 0:
            yield f"{line!r} ends nothing"
    if depth > 0:
        yield "something is opened and never ended"
    if kind == "sequenceDiagram":
        yield from _strangers(lines)


def _strangers(lines: list[str]) -> Iterator[str]:
    """Who acts without having been introduced: a slip of the pen, which Mermaid draws as one more column."""
    introduced = {found[2] for line in lines if (found := re.match(r"(participant|actor) (\w+)", line))}
    for line in lines:
        if found := re.match(rf"({NAME})(?:-[->x)]*)({NAME}): ", line):
            for name in {found[1], found[2]} - introduced:
                yield f"{line!r}: nobody has introduced {name}"
