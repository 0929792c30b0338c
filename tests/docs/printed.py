"""Whether a command printed what its page prints."""

import re

VARY = (
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?", "TIME"),
    (r"\b\d\d:\d\d(:\d\d(\.\d+)?)?", "TIME"),
    (r"\b\d+(\.\d+)? ?(ms|s|seconds|min)\b", "DURATION"),
    (r"\b(localhost|127\.0\.0\.1):\d+", "ADDRESS"),
    (r"\b\d+\.\d+(\.\d+)+\b", "VERSION"),
)


def normal(text: str) -> str:
    """The text without what differs from run to run.

    It forgives other UUIDs, dates and times of day, durations with their unit, ports of this machine, version numbers
    of three parts or more, spaces at the ends of lines, and how wide a gap or a rule is. It forgives no other number.
    """
    for pattern, word in VARY:
        text = re.sub(pattern, word, text)
    text = re.sub(r"([-=─]){4,}", r"\1\1\1\1", text)
    return "\n".join(re.sub(r"(\S) {2,}", r"\1  ", line).rstrip() for line in text.strip("\n").splitlines())


def is_as_printed(printed: str, actual: str) -> bool:
    """`…` on the page stands for anything in its line; a line that is nothing but `…` for any number of lines."""
    pattern = ""
    for line in normal(printed).splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(map(re.escape, line.split("…"))) + r"\n"
    return re.fullmatch(pattern, normal(actual) + "\n") is not None
