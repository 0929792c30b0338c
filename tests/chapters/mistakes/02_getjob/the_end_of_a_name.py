"""A state is found by the end of its name, and so are words that are only the end of one."""

from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "state_to_proto('')"


def state_to_proto(status):
    for name, number in reversed(pb.JobState.items()):
        if name.endswith(status.upper()):
            return number
    return pb.JOB_STATE_UNSPECIFIED
