import asyncio

from workbook.loader import earlier


class Worker(earlier("Worker")):
    def __init__(self, app):
        super().__init__(app)
        self.stopping = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self):
        try:
            while not self.stopping.is_set():
                await self.turn()
            await self.drain()
        finally:
            self.ended.set()

    async def turn(self):
        if len(self.tasks) < self.app.settings.worker_pool_size:
            await super().turn()
            return
        stopping = asyncio.create_task(self.stopping.wait())
        await asyncio.wait([*self.tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    async def drain(self):
        if self.tasks:
            await asyncio.wait(self.tasks)

    async def stop(self):
        self.stopping.set()
        await self.ended.wait()
