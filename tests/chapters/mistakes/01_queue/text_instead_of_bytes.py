"""It is a str."""

import json

TEST = "test_task_2_encodes_the_exact_bytes"
SAYS = ".encode() makes bytes"


def encode_entry(job):
    fields = {"task_id": str(job.task_id), "type": job.type, "priority": job.priority}
    return json.dumps(fields, separators=(",", ":"))
