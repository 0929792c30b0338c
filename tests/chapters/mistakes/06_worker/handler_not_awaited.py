"""The handler is never awaited."""

TEST = "test_task_3_runs_the_handler_and_returns_none"
SAYS = "without await"


async def run_handler(app, job):
    try:
        app.handlers.run(app, job)
    except Exception as error:
        return error
