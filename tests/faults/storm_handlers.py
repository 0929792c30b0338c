"""Handlers for the storms: what honest jobs do, and what breaks a worker that does not keep its jobs apart."""

import asyncio
import multiprocessing
import time

from scheduler.app import App
from scheduler.jobs import Job
from scheduler.worker.handlers import handlers


@handlers("storm_healthy")
async def storm_healthy(app: App, job: Job) -> None:
    """Runs for some heartbeats, and asks for nothing."""
    await asyncio.sleep(6)


@handlers("storm_bulky")
async def storm_bulky(app: App, job: Job) -> None:
    """Runs for so long that many do at once, each with its payload."""
    await asyncio.sleep(20)


@handlers("storm_greedy")
async def storm_greedy(app: App, job: Job) -> None:
    """Holds a connection to the database for a while."""
    await app.db.fetch_one("SELECT pg_sleep(5)")


@handlers("storm_forking")
def storm_forking(app: App, job: Job) -> None:
    """Forks, and waits for its child for a moment only."""
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=[2])
    child.start()
    child.join(0.5)
    child.terminate()
    child.join(5)
