"""Two lists, each looked into by itself: another job's attempt number fits."""

TEST = "test_task_11_agrees_with_the_reference_on_every_input"
SAYS = "under the same worker's name"


async def heartbeat(app, jobs):
    rows = await app.db.fetch_all(
        """UPDATE tasks SET lease_expires_at = now() + %s*interval '1 second'
    WHERE task_id = ANY(%s) AND attempts = ANY(%s) AND status = 'running'
    RETURNING task_id""",
        [app.settings.lease_seconds, [j.task_id for j in jobs], [j.attempts for j in jobs]],
    )
    return {r["task_id"] for r in rows}
