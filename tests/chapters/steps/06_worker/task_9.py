import asyncio
import logging

from workbook.loader import earlier

log = logging.getLogger(__name__)


class Worker(earlier("Worker")):
    def __init__(self, app):
        super().__init__(app)
        self.tasks = set()

    async def run(self):
        while True:
            await self.turn()

    async def turn(self):
        free = self.app.settings.worker_pool_size - len(self.tasks)
        if free == 0:
            await asyncio.wait(self.tasks, return_when=asyncio.FIRST_COMPLETED)
            return
        try:
            entries = await self.app.parts.take(self.app, free)
            jobs = await self.app.parts.claim(self.app, entries)
        except Exception as error:
            log.warning("no jobs for now: %s", type(error).__name__)
            await asyncio.sleep(0.2)
            return
        for job in jobs:
            self.begin(job)

    def begin(self, job):
        task = asyncio.create_task(self.guarded(job))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def guarded(self, job):
        try:
            await self.work(job)
        except Exception:
            log.exception("job %s could not be finished", job.task_id)
