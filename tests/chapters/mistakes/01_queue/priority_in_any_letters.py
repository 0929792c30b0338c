"""A priority in other letters is taken, too."""

from scheduler.jobs import Priority

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "queue_name('HIGH'): expected 'a ValueError', got 'q:high'"


def queue_name(priority):
    return "q:" + Priority(str(priority).strip().lower())
