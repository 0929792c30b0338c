"""The age of the youngest job."""

from scheduler.jobs import Priority

TEST = "test_task_5_shows_the_age_of_the_oldest_job_of_each_queue"
SAYS = "that is the youngest job"

SQL = """
    SELECT extract(epoch FROM now() - max(queued_at))::float8 AS age
    FROM tasks WHERE status = 'queued' AND priority = %s
"""


async def refresh_depth(app):
    for priority in Priority:
        row = await app.db.fetch_one(SQL, [priority])
        app.metrics.oldest_age(priority, row["age"] or 0)
    return 0
