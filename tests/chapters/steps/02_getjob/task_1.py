from scheduler.v1 import scheduler_pb2 as pb


def state_to_proto(status):
    return dict(pb.JobState.items()).get(f"JOB_STATE_{status.upper()}", 0)
