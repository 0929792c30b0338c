"""JSON knows no UUID."""

import json

TEST = "test_task_2_encodes_the_exact_bytes"
SAYS = "JSON knows no UUID"


def encode_entry(job):
    return json.dumps({"task_id": job.task_id, "type": job.type, "priority": job.priority}).encode()
