"""Every version of every row, kept by a trigger in a database of the notebook's own."""

from typing import Any

import pandas as pd
from pandas import DataFrame

STATEMENTS = (
    """CREATE TABLE IF NOT EXISTS notebook_history (
        number BIGSERIAL PRIMARY KEY, at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), task_id UUID, type TEXT,
        version INT8, status TEXT, attempts INT, worker TEXT, last_error TEXT, lease_expires_at TIMESTAMPTZ)""",
    """CREATE OR REPLACE FUNCTION notebook_remember() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO notebook_history
            (task_id, type, version, status, attempts, worker, last_error, lease_expires_at)
        VALUES (NEW.task_id, NEW.type, NEW.version, NEW.status, NEW.attempts, NEW.worker, NEW.last_error,
            NEW.lease_expires_at);
        RETURN NULL;
    END $$""",
    """CREATE OR REPLACE TRIGGER notebook_history AFTER INSERT OR UPDATE ON tasks
    FOR EACH ROW EXECUTE FUNCTION notebook_remember()""",
)

HISTORY = """
    SELECT task_id::text AS job, type, version, status AS state, attempts, worker, last_error,
        extract(epoch FROM at)::float8 AS t, extract(epoch FROM lease_expires_at - at)::float8 AS lease
    FROM notebook_history WHERE task_id = ANY(%s) OR %s ORDER BY number
"""


def history_frame(rows: list[Any]) -> DataFrame:
    """The rows of HISTORY as a frame, times in seconds since the first."""
    frame = pd.DataFrame(
        rows, columns=["job", "type", "version", "state", "attempts", "worker", "last_error", "t", "lease"]
    )
    for column in ("worker", "last_error"):
        frame[column] = frame[column].fillna("")
    frame["t"] -= frame["t"].min()
    frame["job"] = frame["job"].str[:8]
    return frame
