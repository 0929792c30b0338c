"""The field is named as Python names the argument."""

from scheduler.errors import InvalidRequest, Violation

TEST = "test_task_1_refuses_a_negative_size"
SAYS = "as the client spells it"


def page_size(requested):
    if requested < 0:
        raise InvalidRequest([Violation("requested", "must not be negative")])
    return min(requested or 50, 1000)
