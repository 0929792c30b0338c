"""Each row is locked and looked at, and written afterwards, in one transaction. The pumps skip rows that are locked."""

import uuid

from redis.exceptions import RedisError
from scheduler.jobs import Job

TASKS = [2, 6, 7, 11, 12, 13]

LOOK = "SELECT *, now() AS now FROM tasks WHERE task_id = %s FOR UPDATE"


async def _one(connection, sql, *values):
    return await (await connection.execute(sql, values)).fetchone()


async def claim(app, entries):
    name = f"worker-{uuid.uuid4()}"

    async def work(connection):
        jobs = []
        for task_id in sorted({entry.task_id for entry in entries}):
            row = await _one(connection, LOOK, task_id)
            if row is None or row["status"] != "queued":
                continue
            row = await _one(
                connection,
                """UPDATE tasks SET status = 'running', attempts = %s, worker = %s, started_at = now(), pushed_at = NULL,
                   lease_expires_at = now() + make_interval(secs => %s), version = version + 1, updated_at = now()
                   WHERE task_id = %s RETURNING *""",
                row["attempts"] + 1,
                name,
                app.settings.lease_seconds,
                task_id,
            )
            jobs.append(Job.from_row(row))
        return jobs

    return await app.db.transaction(work)


async def finish(app, job, outcome):
    async def work(connection):
        row = await _one(connection, LOOK, job.task_id)
        if row is None or (row["status"], row["attempts"]) != ("running", job.attempts):
            return False
        ok = outcome.status.value == "succeeded"
        await connection.execute(
            """INSERT INTO task_attempts VALUES (%s, %s, %s, clock_timestamp(), %s, %s)
               ON CONFLICT (task_id, attempt) DO UPDATE SET ok = excluded.ok, error = excluded.error""",
            (job.task_id, job.attempts, row["started_at"], ok, outcome.error),
        )
        retry = outcome.status.value == "retry"
        when = "next_run_at = now() + %s * interval '1 second'" if retry else "finished_at = now()"
        await connection.execute(
            f"""UPDATE tasks SET status = %s, last_error = %s, worker = NULL, lease_expires_at = NULL, {when},
                version = %s, updated_at = now() WHERE task_id = %s""",
            (
                outcome.status.value,
                outcome.error,
                *([outcome.delay] if retry else []),
                row["version"] + 1,
                job.task_id,
            ),
        )
        return True

    return await app.db.transaction(work)


async def pump_retries(app):
    async def work(connection):
        cursor = await connection.execute(
            "SELECT task_id FROM tasks WHERE status = 'retry' AND next_run_at <= now() LIMIT 50 FOR UPDATE SKIP LOCKED"
        )
        ids = [row["task_id"] for row in await cursor.fetchall()]
        cursor = await connection.execute(
            """UPDATE tasks SET status = 'queued', next_run_at = NULL, queued_at = now(), pushed_at = now(),
               version = version + 1, updated_at = now() WHERE task_id = ANY(%s) RETURNING *""",
            (ids,),
        )
        return [Job.from_row(row) for row in await cursor.fetchall()]

    jobs = await app.db.transaction(work)
    for job in jobs:
        try:
            await app.queue.push(job)
        except RedisError:
            break
    return len(jobs)


async def heartbeat(app, jobs):
    ours = set()

    async def work(connection):
        ours.clear()
        for job in sorted(jobs, key=lambda job: job.task_id):
            row = await _one(connection, LOOK, job.task_id)
            if row and row["status"] == "running" and row["attempts"] == job.attempts:
                await connection.execute(
                    "UPDATE tasks SET lease_expires_at = now() + make_interval(secs => %s) WHERE task_id = %s",
                    (app.settings.lease_seconds, job.task_id),
                )
                ours.add(job.task_id)

    await app.db.transaction(work)
    return ours


async def reap(app):
    async def work(connection):
        cursor = await connection.execute(
            "SELECT * FROM tasks WHERE lease_expires_at < now() AND status = 'running' FOR UPDATE SKIP LOCKED"
        )
        rows = await cursor.fetchall()
        for row in rows:
            dead = row["attempts"] >= row["max_attempts"]
            await connection.execute(
                "INSERT INTO task_attempts VALUES (%s, %s, %s, now(), false, 'lost')",
                (row["task_id"], row["attempts"], row["started_at"]),
            )
            await connection.execute(
                f"""UPDATE tasks SET status = %s, {"finished_at" if dead else "next_run_at"} = now(), worker = NULL,
                    last_error = 'lost', lease_expires_at = NULL, version = version + 1, updated_at = now()
                    WHERE task_id = %s""",
                ("deadletter" if dead else "retry", row["task_id"]),
            )
        return len(rows)

    return await app.db.transaction(work)
