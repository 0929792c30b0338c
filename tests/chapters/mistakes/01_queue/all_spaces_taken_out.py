"""The spaces are taken out of the text, and so out of the type."""

import json

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "encode_entry of an Entry of job 1 (type "


def encode_entry(job):
    return (
        json.dumps(
            {"task_id": str(job.task_id), "type": job.type, "priority": str(job.priority)},
            separators=(",", ":"),
        )
        .replace(" ", "")
        .encode()
    )
