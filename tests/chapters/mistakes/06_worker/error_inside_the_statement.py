"""An error's text is part of the statement, and a quote in it ends it."""

TEST = "test_task_6_agrees_with_the_reference_on_every_input"
SAYS = "your code raised SyntaxError"


async def finish(app, job, outcome):
    err = "NULL" if outcome.error is None else "'" + outcome.error + "'"
    rows = await app.db.fetch_all(f"""WITH d AS (UPDATE tasks SET status='{outcome.status}', last_error={err},
        worker=NULL,
        lease_expires_at=NULL, next_run_at=CASE WHEN '{outcome.status}'='retry' THEN now()+{outcome.delay}*interval '1 second' END,
        finished_at=CASE WHEN '{outcome.status}'<>'retry' THEN now() END,
        version=version+1, updated_at=now()
    WHERE task_id='{job.task_id}' AND status='running' AND attempts={job.attempts}
    RETURNING *)
    INSERT INTO task_attempts SELECT task_id, attempts, started_at, now(), status='succeeded', last_error FROM d
    RETURNING attempt""")
    return bool(rows)
