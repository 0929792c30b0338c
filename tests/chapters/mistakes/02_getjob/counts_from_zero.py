"""The place in the list is taken for the number."""

from scheduler.jobs import Status

TEST = "test_task_1_gives_each_status_its_number"
SAYS = "that number is JOB_STATE_QUEUED"


def state_to_proto(status):
    words = list(Status)
    return words.index(status) if status in words else 0
