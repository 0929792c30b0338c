"""The keys stand as they stand in whatever is pushed."""

import json

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = 'got b\'{"priority":'


def encode_entry(job):
    d = (
        job._asdict()
        if hasattr(job, "_asdict")
        else {"priority": job.priority, "task_id": job.task_id, "type": job.type}
    )
    return json.dumps(d, separators=(",", ":"), default=str).encode()
