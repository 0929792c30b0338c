"""A synchronous psycopg connection."""

import psycopg
from psycopg.rows import dict_row
from scheduler.jobs import Job

TEST = "test_task_1_leaves_the_loop_to_others"
SAYS = "blocks it"

SET = "status = 'cancelled', finished_at = now(), pushed_at = NULL, next_run_at = NULL, lease_expires_at = NULL, updated_at = now()"


async def cancel_in_database(app, task_id):
    with psycopg.connect(app.settings.database_conninfo(), row_factory=dict_row) as connection:
        row = connection.execute(
            f"UPDATE tasks SET {SET}, version = version + 1 WHERE task_id = %s AND status IN ('queued', 'running', 'retry') RETURNING *",
            [task_id],
        ).fetchone()
    return Job.from_row({**row, "payload": "{}"}) if row else None
