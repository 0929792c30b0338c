"""One task looks for all streams of an app; each stream has a box for the newest row. The last to leave ends the task."""

import asyncio
from collections import defaultdict

from scheduler.errors import JobNotFound
from scheduler.jobs import Job, get_job_row, parse_job_id

TASKS = [2, 3, 4, 5, 6]

rooms = {}


class Room:
    def __init__(self, app):
        self.app = app
        self.boxes = defaultdict(set)
        self.task = None

    def enter(self, task_id):
        box = asyncio.Queue(maxsize=1)
        self.boxes[task_id].add(box)
        if self.task is None:
            self.task = asyncio.create_task(self.look())
        return box

    def leave(self, task_id, box):
        self.boxes[task_id].discard(box)
        if not self.boxes[task_id]:
            del self.boxes[task_id]
        if not self.boxes:
            self.task.cancel()
            self.task = None

    async def look(self):
        while True:
            await asyncio.sleep(self.app.settings.watch_poll_seconds)
            asked = list(self.boxes)  # who enters meanwhile was not asked for
            rows = await self.app.db.fetch_all("SELECT * FROM tasks WHERE task_id = ANY(%s)", [asked])
            found = {row["task_id"]: Job.from_row(row) for row in rows}
            for task_id in asked:
                for box in self.boxes.get(task_id, ()):
                    if box.full():
                        box.get_nowait()
                    box.put_nowait(found.get(task_id))


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    room = rooms.setdefault(id(app), Room(app))
    box = room.enter(task_id)
    try:
        seen, job = request.after_version, await get_job_row(app, task_id)
        while job is not None:
            if job.version > seen:
                yield app.parts.to_event(job)
                seen = job.version
            if job.status.is_terminal:
                return
            job = await box.get()
        raise JobNotFound(task_id)
    finally:
        room.leave(task_id, box)
