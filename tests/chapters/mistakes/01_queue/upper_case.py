"""The name is in upper case."""

TEST = "test_task_1_names_the_queue_of_each_priority"
SAYS = "lower case"


def queue_name(priority):
    return f"q:{priority.name}"
