"""All streams of an app share one listener. It knows who waits for which job; the last to leave ends it."""

import asyncio

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.hints import channel
from scheduler.jobs import get_job_row, parse_job_id

TASKS = [2, 3, 4, 5, 6, 7]

radios = {}


class Radio:
    """One connection for all channels of an app, and a bell for each stream."""

    def __init__(self, app):
        self.app = app
        self.bells = {}
        self.pubsub = app.queue.redis.pubsub(ignore_subscribe_messages=True)
        self.listens = None
        self.lock = asyncio.Lock()

    def enter(self, name):
        bell = asyncio.Event()
        self.bells.setdefault(name, set()).add(bell)
        return bell

    async def tune_in(self, name):
        async with self.lock:
            try:
                await self.pubsub.subscribe(name)
            except RedisError:
                pass
            if self.listens is None:
                self.listens = asyncio.create_task(self.listen())

    async def leave(self, name, bell):
        self.bells[name].discard(bell)
        if self.bells[name]:
            return
        del self.bells[name]
        if self.bells:
            try:
                await self.pubsub.unsubscribe(name)
            except RedisError:
                pass
            return
        radios.pop(id(self.app), None)
        if self.listens is not None:
            self.listens.cancel()
            await asyncio.gather(self.listens, return_exceptions=True)
        await self.pubsub.aclose()

    async def listen(self):
        while True:
            try:
                message = await self.pubsub.get_message(timeout=self.app.settings.watch_poll_seconds)
            except (RedisError, RuntimeError):
                await asyncio.sleep(self.app.settings.watch_poll_seconds)
                continue
            if message is not None:
                for bell in self.bells.get(message["channel"].decode(), ()):
                    bell.set()


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    seen, name = request.after_version, channel(task_id)
    if id(app) not in radios:
        radios[id(app)] = Radio(app)
    radio = radios[id(app)]
    bell = radio.enter(name)
    try:
        await radio.tune_in(name)
        while (job := await get_job_row(app, task_id)) is not None:
            if job.version > seen:
                yield app.parts.to_event(job)
                seen = job.version
            if job.status.is_terminal:
                return
            try:
                await asyncio.wait_for(bell.wait(), app.settings.watch_poll_seconds)
            except TimeoutError:
                pass
            bell.clear()
        raise JobNotFound(task_id)
    finally:
        await radio.leave(name, bell)
