"""Text has no name."""

from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_1_gives_each_status_its_number"
SAYS = "It gets a word"


def state_to_proto(status):
    return pb.JobState.Value(f"JOB_STATE_{status.name}")
