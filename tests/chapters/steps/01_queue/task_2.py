import json


def encode_entry(job):
    fields = {"task_id": str(job.task_id), "type": job.type, "priority": str(job.priority)}
    return json.dumps(fields, separators=(",", ":")).encode()
