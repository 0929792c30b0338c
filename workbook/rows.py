"""Rows of `tasks` in any status, as the constraints allow them: what a test needs to begin in the middle of things."""

from collections.abc import Sequence
from typing import Any

from scheduler.jobs import Job, Status


def columns(status: Status) -> dict[str, Any]:
    """What a row of this status needs beyond the defaults, as SQL where it is a time."""
    match status:
        case Status.QUEUED:
            return {"status": "queued"}
        case Status.RUNNING:
            return {
                "status": "running",
                "attempts": 1,
                "worker": "another/1",
                "pushed_at": None,
                "started_at": NOW,
                "lease_expires_at": SOON,
            }
        case Status.RETRY:
            return {
                "status": "retry",
                "attempts": 1,
                "last_error": "RuntimeError: try again",
                "pushed_at": None,
                "started_at": NOW,
                "next_run_at": SOON,
            }
        case Status.CANCELLED:
            return {"status": "cancelled", "pushed_at": None, "finished_at": NOW}
        case Status.SUCCEEDED:
            return {
                "status": "succeeded",
                "attempts": 1,
                "pushed_at": None,
                "started_at": NOW,
                "finished_at": NOW,
            }
        case Status.FAILED | Status.DEADLETTER:
            return {
                "status": str(status),
                "attempts": 1,
                "last_error": "RuntimeError: as asked",
                "pushed_at": None,
                "started_at": NOW,
                "finished_at": NOW,
            }


class _Sql(str):
    """An expression that goes into a statement as it is."""


NOW = _Sql("now()")
SOON = _Sql("now() + interval '1 minute'")


def insert(values: dict[str, Any]) -> str:
    given = {name: value if isinstance(value, _Sql) else f"%({name})s" for name, value in values.items()}
    return f"INSERT INTO tasks ({', '.join(given)}) VALUES ({', '.join(given.values())}) RETURNING *"


def insert_all(rows: Sequence[dict[str, Any]]) -> tuple[str, *tuple[Any, ...]]:
    """One statement and its parameters. A column that a row says nothing of has its default."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    parts, params = [], []
    for row in rows:
        given = [row.get(name, _DEFAULT) for name in names]
        parts.append(f"({', '.join(one if isinstance(one, _Sql) else '%s' for one in given)})")
        params += [one for one in given if not isinstance(one, _Sql)]
    return f"INSERT INTO tasks ({', '.join(names)}) VALUES {', '.join(parts)}", *params


_DEFAULT = _Sql("DEFAULT")
_RESET = {
    "next_run_at": None,
    "lease_expires_at": None,
    "finished_at": None,
    "pushed_at": None,
    "worker": None,
}
_TOUCH = {"version": _Sql("version + 1"), "updated_at": NOW}


def update(job: Job, status: str, changes: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    needed = columns(Status(status))
    if status == Status.QUEUED:
        needed["pushed_at"] = NOW
    if job.attempts:
        needed.pop("attempts", None)
    values = {**_RESET, **needed, **_TOUCH, **changes}
    given = ", ".join(
        f"{name} = {value if isinstance(value, _Sql) else f'%({name})s'}" for name, value in values.items()
    )
    statement = f"UPDATE tasks SET {given} WHERE task_id = %(id)s RETURNING *"
    return statement, {**values, "id": job.task_id}
