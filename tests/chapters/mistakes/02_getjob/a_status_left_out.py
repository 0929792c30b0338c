"""The chain of ifs ends before the last status."""

from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_1_gives_each_status_its_number"
SAYS = "this status is left out; it is JOB_STATE_RETRY"


def state_to_proto(status):
    match status:
        case "queued":
            return pb.JOB_STATE_QUEUED
        case "running":
            return pb.JOB_STATE_RUNNING
        case "succeeded":
            return pb.JOB_STATE_SUCCEEDED
        case "failed":
            return pb.JOB_STATE_FAILED
        case "deadletter":
            return pb.JOB_STATE_DEADLETTER
        case "cancelled":
            return pb.JOB_STATE_CANCELLED
        case _:
            return pb.JOB_STATE_UNSPECIFIED
