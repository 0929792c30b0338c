"""What Latin-1 has not becomes a question mark."""

import json

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "(type 'Nöop', priority high): expected"


def encode_entry(job):
    return json.dumps(
        {"task_id": str(job.task_id), "type": job.type, "priority": str(job.priority)},
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode("latin-1", "replace")
