"""The name lacks its beginning."""

TEST = "test_task_1_names_the_queue_of_each_priority"
SAYS = "begins with q:"


def queue_name(priority):
    return str(priority)
