"""The exception is one that the server does not know."""

TEST = "test_task_1_refuses_a_negative_size"
SAYS = "of which the server makes INVALID_ARGUMENT"


def page_size(requested):
    if requested < 0:
        raise ValueError("page_size must not be negative")
    return min(requested or 50, 1000)
