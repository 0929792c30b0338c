"""The return is missing."""

TEST = "test_task_1_names_the_queue_of_each_priority"
SAYS = "is there a return?"


def queue_name(priority):
    f"q:{priority}"
