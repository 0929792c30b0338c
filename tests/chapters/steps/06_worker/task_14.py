import asyncio
import logging

from workbook.loader import earlier

log = logging.getLogger(__name__)


class Worker(earlier("Worker")):
    def __init__(self, app):
        super().__init__(app)
        self.handlers = {}

    async def run(self):
        beating = asyncio.create_task(self.beat())
        try:
            await super().run()
        finally:
            beating.cancel()

    async def guarded(self, job):
        self.handlers[job.task_id, job.attempts] = job, asyncio.current_task()
        try:
            await super().guarded(job)
        finally:
            del self.handlers[job.task_id, job.attempts]

    async def beat(self):
        while True:
            await asyncio.sleep(self.app.settings.heartbeat_seconds)
            held = list(self.handlers.values())
            try:
                ours = await self.app.parts.heartbeat(self.app, [job for job, _ in held])
            except Exception as error:
                log.warning("a heartbeat failed: %s", type(error).__name__)
                continue
            for job, task in held:
                if job.task_id not in ours:
                    task.cancel()
