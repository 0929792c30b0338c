"""The entry is spelled a second time, with spaces."""

import json

TEST = "test_task_2_removes_the_entry"
SAYS = "for the bytes that app.parts.encode_entry gives"


async def remove_entry(app, job):
    entry = json.dumps({"task_id": str(job.task_id), "type": job.type, "priority": job.priority})
    return await app.queue.redis.lrem(app.parts.queue_name(job.priority), 0, entry)
