"""No field is named: the message's own description says which there are, and of which kind each is."""

from scheduler.v1 import scheduler_pb2 as pb

TASKS = [1, 2]

RENAMED = {"job_id": "task_id", "state": "status"}


def _numbers(enum, prefix):
    return {value.name.removeprefix(prefix).lower(): value.number for value in enum.values if value.number}


NUMBERS = {
    "JobState": _numbers(pb.JobState.DESCRIPTOR, "JOB_STATE_"),
    "Priority": _numbers(pb.Priority.DESCRIPTOR, "PRIORITY_"),
}


def state_to_proto(status):
    return NUMBERS["JobState"].get(status, pb.JOB_STATE_UNSPECIFIED)


def job_to_status(job):
    message = pb.JobStatus()
    for field in pb.JobStatus.DESCRIPTOR.fields:
        value = getattr(job, RENAMED.get(field.name, field.name))
        if value is None:
            continue
        if field.message_type is not None:
            getattr(message, field.name).FromDatetime(value)
        elif field.enum_type is not None:
            setattr(message, field.name, NUMBERS[field.enum_type.name].get(value, 0))
        else:
            setattr(message, field.name, str(value) if field.name == "job_id" else value)
    return message
