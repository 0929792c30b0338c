"""The entry is pushed on the right."""

from scheduler import job_queue

TEST = "test_task_3_pushes_on_the_left"
SAYS = "the newest is on the right"


class JobQueue(job_queue.JobQueue):
    async def push(self, job):
        await self.redis.rpush(job_queue.queue_name(job.priority), job_queue.encode_entry(job))
