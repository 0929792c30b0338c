"""What a newer server has written is a Status already, and no member's name."""

from scheduler.jobs import Status
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "state_to_proto('paused', the status of a Job that a newer server has written)"


def state_to_proto(status):
    try:
        known = Status(status)
    except ValueError:
        return pb.JOB_STATE_UNSPECIFIED
    return pb.JobState.Value(f"JOB_STATE_{known.name}")
