"""A list is no priority either, and a dict can't look one up."""

from scheduler.jobs import Priority

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "queue_name(['high']): expected 'a ValueError'"

QUEUES = {priority: f"q:{priority}" for priority in Priority}


def queue_name(priority):
    try:
        return QUEUES[priority]
    except KeyError:
        raise ValueError(f"not a priority: {priority!r}") from None
