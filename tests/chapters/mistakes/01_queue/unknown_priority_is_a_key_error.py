"""An unknown priority crashes with whatever the mapping raises."""

TEST = "test_task_1_refuses_what_is_no_priority"
SAYS = "raise a ValueError"

NAMES = {"critical": "q:critical", "high": "q:high", "default": "q:default", "low": "q:low"}


def queue_name(priority):
    return NAMES[priority]
