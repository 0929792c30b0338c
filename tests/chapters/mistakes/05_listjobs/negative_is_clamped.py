"""A negative size is made a right one."""

TEST = "test_task_1_refuses_a_negative_size"
SAYS = "a negative size is a mistake in the client's program"


def page_size(requested):
    return min(max(requested, 0) or 50, 1000)
