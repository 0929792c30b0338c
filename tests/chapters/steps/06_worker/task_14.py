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

    async def handle(self, job):
        key = job.task_id, job.attempts
        self.handlers[key] = job, asyncio.current_task()
        try:
            return await super().handle(job)
        finally:
            del self.handlers[key]

    async def beat(self):
        while True:
            await asyncio.sleep(self.app.settings.heartbeat_seconds)
            held = dict(self.handlers)
            try:
                ours = await self.app.parts.heartbeat(self.app, [job for job, _ in held.values()])
            except Exception as error:
                log.warning("a heartbeat failed: %s", type(error).__name__)
                continue
            for key, (job, task) in held.items():
                if job.task_id not in ours and key in self.handlers and not task.cancelling():
                    task.cancel()
