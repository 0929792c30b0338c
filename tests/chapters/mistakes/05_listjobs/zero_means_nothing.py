"""Who asks for nothing gets nothing."""

from scheduler.errors import InvalidRequest, Violation

TEST = "test_task_1_keeps_the_size_within_limits"
SAYS = "says nothing about the size: it means 50"


def page_size(requested):
    if requested < 0:
        raise InvalidRequest([Violation("page_size", "must not be negative")])
    return min(requested, 1000)
