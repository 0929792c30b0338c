"""The mapping is asked with brackets."""

from scheduler.jobs import Status
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_1_gives_unspecified_for_a_status_that_it_does_not_know"
SAYS = "raised KeyError"

STATES = {status: pb.JobState.Value(f"JOB_STATE_{status.name}") for status in Status}


def state_to_proto(status):
    return STATES[status]
