"""The URL is logged, password and all."""

import logging

from redis.asyncio import Redis
from scheduler.job_queue import JobQueue
from scheduler.redis_clients import quick

TEST = "test_task_7_names_no_password_when_it_can_not_connect"
SAYS = "shows the password"


async def connect(settings):
    password = settings.redis_password.get_secret_value()
    logging.info("connecting to redis://:%s@%s:%s", password, settings.redis_host, settings.redis_port)
    client = Redis(**settings.redis_address(), **quick())
    await client.ping()
    return JobQueue(client)
