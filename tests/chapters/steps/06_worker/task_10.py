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

    async def drain(self):
        if self.tasks:
            await asyncio.wait(self.tasks)

    async def stop(self):
        self.stopping.set()
        await self.ended.wait()
