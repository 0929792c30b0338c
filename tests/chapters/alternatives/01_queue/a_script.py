"""The push is a script that Redis runs, by EVAL and then by its digest."""

from redis.exceptions import NoScriptError
from scheduler.job_queue import encode_entry
from scheduler.redis_clients import patient

TASKS = [3]

PUSH = "return redis.call('LPUSH', KEYS[1], ARGV[1])"


class JobQueue:
    def __init__(self, redis):
        self.redis = redis
        self.blocking = patient(redis)
        self.digest = ""

    async def push(self, job):
        key, entry = f"q:{job.priority}", encode_entry(job)
        try:
            await self.redis.evalsha(self.digest or "0" * 40, 1, key, entry)
        except NoScriptError:
            self.digest = await self.redis.script_load(PUSH)
            await self.redis.eval(PUSH, 1, key, entry)

    async def push_many(self, jobs):
        for job in jobs:
            await self.push(job)

    async def close(self):
        await self.redis.aclose()
        await self.blocking.aclose()
