"""Every job goes to the default queue."""

from scheduler import job_queue

TEST = "test_task_3_pushes_the_entry_to_the_queue_of_its_priority"
SAYS = "the entry went to q:default"


class JobQueue(job_queue.JobQueue):
    async def push(self, job):
        await self.redis.lpush("q:default", job_queue.encode_entry(job))
