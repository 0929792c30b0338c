"""`match` for the names, a compact encoder, and LPUSH as a bare command."""

import json

from scheduler import job_queue
from scheduler.jobs import Priority

TASKS = [1, 2, 3]

COMPACT = json.JSONEncoder(separators=(",", ":"))


def queue_name(priority):
    match priority:
        case Priority.CRITICAL | Priority.HIGH | Priority.DEFAULT | Priority.LOW:
            return "q:" + priority
        case _:
            raise ValueError(priority)


def encode_entry(job):
    fields = [("task_id", str(job.task_id)), ("type", job.type), ("priority", Priority(job.priority))]
    return COMPACT.encode(dict(fields)).encode("utf-8")


class JobQueue(job_queue.JobQueue):
    async def push(self, job):
        await self.redis.execute_command("LPUSH", queue_name(job.priority), encode_entry(job))
