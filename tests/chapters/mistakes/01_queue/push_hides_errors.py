"""push keeps the error to itself."""

from redis.exceptions import RedisError
from scheduler import job_queue

TEST = "test_task_3_lets_the_error_of_redis_through"
SAYS = "its caller must hear of it"


class JobQueue(job_queue.JobQueue):
    async def push(self, job):
        try:
            await self.redis.lpush(job_queue.queue_name(job.priority), job_queue.encode_entry(job))
        except RedisError:
            pass
