"""Whoever asks for a million gets a million."""

from scheduler.errors import InvalidRequest, Violation

TEST = "test_task_1_keeps_the_size_within_limits"
SAYS = "nobody gets more than 1,000 at once"


def page_size(requested):
    if requested < 0:
        raise InvalidRequest([Violation("page_size", "must not be negative")])
    return requested or 50
