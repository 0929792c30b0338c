"""now() loses its zone, and the session's zone, which may be another than UTC, takes its place."""

from scheduler.jobs import Job

TEST = "test_task_1_means_now_whatever_the_zone_of_the_database"
SAYS = "a time without a zone is read in the session's zone"


async def cancel_in_database(app, task_id):
    row = await app.db.fetch_one(
        """
        UPDATE tasks
        SET status = 'cancelled', finished_at = now() AT TIME ZONE 'utc', pushed_at = NULL,
            next_run_at = NULL, lease_expires_at = NULL, version = version + 1,
            updated_at = now() AT TIME ZONE 'utc'
        WHERE task_id = %s AND status IN ('queued', 'retry', 'running')
        RETURNING *
        """,
        [task_id],
    )
    return Job.from_row(row) if row else None
