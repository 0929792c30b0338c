"""json.dumps puts spaces in."""

import json

TEST = "test_task_2_encodes_the_exact_bytes"
SAYS = "it has spaces"


def encode_entry(job):
    return json.dumps({"task_id": str(job.task_id), "type": job.type, "priority": job.priority}).encode()
