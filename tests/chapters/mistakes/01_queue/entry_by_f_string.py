"""The JSON is put together in an f-string, and a quote in a type ends it."""

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "encode_entry of an Entry of job 1 (type"


def encode_entry(job):
    return f'{{"task_id":"{job.task_id}","type":"{job.type}","priority":"{job.priority}"}}'.encode()
