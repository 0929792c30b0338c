"""Names instead of numbers: protobuf's own JSON form, with ISO times, makes the message."""

from datetime import UTC

from google.protobuf.json_format import ParseDict
from scheduler.v1 import scheduler_pb2 as pb

TASKS = [1, 2]

COPIED = ("attempts", "last_error", "type", "max_attempts", "version")
TIMES = ("created_at", "updated_at", "started_at", "finished_at", "next_run_at")


def state_to_proto(status):
    name = "JOB_STATE_" + str(status).upper()
    return (
        pb.JobState.Value(name) if name in pb.JobState.keys() else pb.JobState.Value("JOB_STATE_UNSPECIFIED")
    )


def job_to_status(job):
    fields = {name: getattr(job, name) for name in COPIED}
    fields |= {
        "job_id": str(job.task_id),
        "state": state_to_proto(job.status),
        "priority": f"PRIORITY_{job.priority.upper()}",
    }
    for name in TIMES:
        if time := getattr(job, name):
            fields[name] = time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return ParseDict({name: value for name, value in fields.items() if value is not None}, pb.JobStatus())
