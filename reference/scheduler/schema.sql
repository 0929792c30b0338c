-- The tables. PostgreSQL 14+ and CockroachDB 23+ both accept every statement, and running the file twice is safe.
-- Whatever is below "version 2" came later: see migrations.py. What stands here once is never changed, only added to.

-- version 1
CREATE TABLE IF NOT EXISTS tasks (
    task_id          UUID        PRIMARY KEY,
    type             TEXT        NOT NULL,
    priority         TEXT        NOT NULL DEFAULT 'default',
    payload          JSONB       NOT NULL DEFAULT '{}',
    status           TEXT        NOT NULL DEFAULT 'queued',

    -- The attempt number is the fence: it rises with each claim and never falls, so that a worker which has lost its
    -- lease can't write over the one that came after it.
    attempts         INT         NOT NULL DEFAULT 0,
    max_attempts     INT         NOT NULL DEFAULT 3,
    last_error       TEXT,
    worker           TEXT,                                -- process/claim-number of the worker that holds the lease
    version          INT8        NOT NULL DEFAULT 1,      -- one more with each change of status
    idempotency_key  TEXT,

    created_at       TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at       TIMESTAMPTZ NOT NULL DEFAULT now(),  -- when the status last changed
    queued_at        TIMESTAMPTZ NOT NULL DEFAULT now(),  -- when it last became queued
    pushed_at        TIMESTAMPTZ          DEFAULT now(),  -- when an entry was last pushed to Redis; NULL unless queued
    started_at       TIMESTAMPTZ,                         -- when the newest attempt began
    finished_at      TIMESTAMPTZ,                         -- when it reached a terminal status
    next_run_at      TIMESTAMPTZ,                         -- when a retry is due
    lease_expires_at TIMESTAMPTZ,                         -- until when the running attempt is its worker's

    -- Rows that the state machine can't reach are refused. The names are sentences, for people will read them.
    CONSTRAINT status_is_known CHECK (status IN
        ('queued', 'running', 'succeeded', 'failed', 'deadletter', 'cancelled', 'retry')),
    CONSTRAINT priority_is_known CHECK (priority IN ('critical', 'high', 'default', 'low')),
    CONSTRAINT attempts_are_not_negative CHECK (attempts >= 0),
    CONSTRAINT max_attempts_are_positive CHECK (max_attempts >= 1),
    CONSTRAINT version_is_positive CHECK (version >= 1),
    CONSTRAINT only_a_queued_job_has_pushed_at CHECK (pushed_at IS NULL OR status = 'queued'),
    CONSTRAINT queued_job_has_pushed_at CHECK (pushed_at IS NOT NULL OR status <> 'queued'),
    CONSTRAINT running_job_has_a_lease CHECK ((status = 'running') = (lease_expires_at IS NOT NULL)),
    CONSTRAINT running_job_has_started_at CHECK (status <> 'running' OR started_at IS NOT NULL),
    CONSTRAINT running_job_has_an_attempt CHECK (status <> 'running' OR attempts >= 1),
    CONSTRAINT retry_job_has_next_run_at CHECK ((status = 'retry') = (next_run_at IS NOT NULL)),
    CONSTRAINT finished_job_has_finished_at CHECK (
        (status IN ('succeeded', 'failed', 'deadletter', 'cancelled')) = (finished_at IS NOT NULL))
);

-- One row an attempt that ended, written by the finish or the reaper that ended it. A cancel writes none.
CREATE TABLE IF NOT EXISTS task_attempts (
    task_id     UUID        NOT NULL,
    attempt     INT         NOT NULL,
    started_at  TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ NOT NULL,
    ok          BOOL        NOT NULL,
    error       TEXT,
    PRIMARY KEY (task_id, attempt)
);

-- What db_tx, the handler that shows how a repeated run has one effect, writes.
CREATE TABLE IF NOT EXISTS db_tx_effects (
    task_id    UUID        PRIMARY KEY,
    note       TEXT        NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- Work that is due is found through columns that are NULL in every other row, so these indexes hold only that work.
-- An index on status would not do: with statistics a minute old, the planner takes it and reads every running row.
CREATE INDEX IF NOT EXISTS tasks_pushed ON tasks (priority, pushed_at) WHERE pushed_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS tasks_lease ON tasks (lease_expires_at) WHERE lease_expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS tasks_due ON tasks (next_run_at) WHERE next_run_at IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS tasks_idempotency_key ON tasks (idempotency_key) WHERE idempotency_key IS NOT NULL;

-- For ListJobs: newest first, alone or within one status or type.
CREATE INDEX IF NOT EXISTS tasks_created ON tasks (created_at, task_id);
CREATE INDEX IF NOT EXISTS tasks_status_created ON tasks (status, created_at, task_id);
CREATE INDEX IF NOT EXISTS tasks_type_created ON tasks (type, created_at, task_id);

-- version 2

-- Which of these versions the database has. A process adds what is missing when it starts, if it may.
CREATE TABLE IF NOT EXISTS schema_version (
    version    INT         PRIMARY KEY,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- For ListJobs with several filters, one of which is the priority: see list_jobs.py.
CREATE INDEX IF NOT EXISTS tasks_priority_status_created ON tasks (priority, status, created_at, task_id);
CREATE INDEX IF NOT EXISTS tasks_type_priority_status_created ON tasks (type, priority, status, created_at, task_id);
