"""The server is a task of the caller's event loop, which may be busy."""

import asyncio

from prometheus_client import generate_latest

TEST = "test_task_3_serves_the_metrics_of_this_registry"
SAYS = "it wants the event loop of its caller"


def serve_metrics(registry, port, host="127.0.0.1", is_ready=None):
    async def answer(reader, writer):
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + generate_latest(registry))
        writer.close()

    loop = asyncio.get_running_loop()
    return loop.create_task(asyncio.start_server(answer, host, port))
