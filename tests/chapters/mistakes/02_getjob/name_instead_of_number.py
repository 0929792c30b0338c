"""The answer is the name of the number."""

TEST = "test_task_1_gives_each_status_its_number"
SAYS = "that is text"


def state_to_proto(status):
    return f"JOB_STATE_{status.upper()}"
