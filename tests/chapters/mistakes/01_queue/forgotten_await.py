"""The command is never awaited."""

from scheduler import job_queue

TEST = "test_task_3_pushes_the_entry_to_the_queue_of_its_priority"
SAYS = "without await"


class JobQueue(job_queue.JobQueue):
    async def push(self, job):
        self.redis.lpush(job_queue.queue_name(job.priority), job_queue.encode_entry(job))
