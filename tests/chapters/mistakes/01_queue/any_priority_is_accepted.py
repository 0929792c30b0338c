"""Any word makes a queue."""

TEST = "test_task_1_refuses_what_is_no_priority"
SAYS = "nobody reads such a queue"


def queue_name(priority):
    return f"q:{priority}"
