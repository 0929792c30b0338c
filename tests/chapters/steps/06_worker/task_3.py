import asyncio


async def run_handler(app, job):
    try:
        async with asyncio.timeout(app.settings.handler_timeout_seconds):
            await app.handlers.run(app, job)
    except Exception as error:
        return error
    return None
