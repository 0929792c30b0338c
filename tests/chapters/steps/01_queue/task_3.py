from workbook.loader import earlier

queue_name = earlier("queue_name")
encode_entry = earlier("encode_entry")


class JobQueue(earlier("JobQueue")):
    async def push(self, job):
        await self.redis.lpush(queue_name(job.priority), encode_entry(job))
