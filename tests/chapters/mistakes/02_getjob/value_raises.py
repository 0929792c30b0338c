"""Value raises for a name that it does not know."""

from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_1_gives_unspecified_for_a_status_that_it_does_not_know"
SAYS = "answer UNSPECIFIED"


def state_to_proto(status):
    return pb.JobState.Value(f"JOB_STATE_{status.upper()}")
