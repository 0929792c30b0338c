"""More than a thousand counts as a mistake."""

from scheduler.errors import InvalidRequest, Violation

TEST = "test_task_1_keeps_the_size_within_limits"
SAYS = "refused a number that is no mistake"


def page_size(requested):
    if not 0 <= requested <= 1000:
        raise InvalidRequest([Violation("page_size", "must be from 0 to 1000")])
    return requested or 50
