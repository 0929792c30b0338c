"""How a job looks: the words for its state and priority, a few lines for people, an object for programs."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from scheduler.cli.show import dim, printable, state
from scheduler.v1 import scheduler_pb2 as pb

Time = Literal["created_at", "updated_at", "started_at", "finished_at", "next_run_at"]
TIMES: tuple[Time, ...] = ("created_at", "updated_at", "started_at", "finished_at", "next_run_at")


class PriorityWord(StrEnum):
    """The priorities, as a command line spells them."""

    critical = "critical"
    high = "high"
    default = "default"
    low = "low"


class StateWord(StrEnum):
    """The states, as a command line spells them."""

    queued = "queued"
    running = "running"
    succeeded = "succeeded"
    failed = "failed"
    deadletter = "deadletter"
    cancelled = "cancelled"
    retry = "retry"


def priority_number(word: str) -> pb.Priority.ValueType:
    """The API's number for a priority."""
    return pb.Priority.Value(f"PRIORITY_{word.upper()}")


def state_number(word: str) -> pb.JobState.ValueType:
    """The API's number for a state."""
    return pb.JobState.Value(f"JOB_STATE_{word.upper()}")


def state_word(number: int) -> str:
    """The word for a state; its number if this client does not know it."""
    return _word(pb.JobState, number, "JOB_STATE_")


def priority_word(number: int) -> str:
    """The word for a priority; its number if this client does not know it."""
    return _word(pb.Priority, number, "PRIORITY_")


def _word(enum: Any, number: int, prefix: str) -> str:
    try:
        return str(enum.Name(number)).removeprefix(prefix).lower()
    except ValueError:
        return str(number)


def job_as_json(status: pb.JobStatus) -> dict[str, Any]:
    """All that a JobStatus says, in the words of SQL and the metrics. Times are RFC 3339, null if there is none."""
    return {
        "job_id": status.job_id,
        "type": status.type,
        "priority": priority_word(status.priority),
        "state": state_word(status.state),
        "attempts": status.attempts,
        "max_attempts": status.max_attempts,
        "last_error": status.last_error or None,
        "version": status.version,
        **{name: getattr(status, name).ToJsonString() if status.HasField(name) else None for name in TIMES},
    }


def job_as_lines(status: pb.JobStatus) -> list[str]:
    """A JobStatus for people: a line each, without what there is nothing to say about."""
    lines = [
        ("job id", status.job_id),
        ("type", printable(status.type)),
        ("priority", priority_word(status.priority)),
        ("state", state(state_word(status.state))),
        ("attempts", f"{status.attempts} of {status.max_attempts}"),
    ]
    if status.last_error:
        lines.append(("last error", printable(status.last_error)))
    for name in TIMES:
        if name != "updated_at" and status.HasField(name):
            moment = getattr(status, name).ToDatetime(tzinfo=UTC)
            label = name.removesuffix("_at").replace("_", " ")
            lines.append((label, f"{clock(moment, date=True)}  {dim(ago(moment))}"))
    return [f"{label:<12}{text}" for label, text in lines]


def clock(moment: datetime, *, date: bool = False) -> str:
    """A time in the zone of this machine, with milliseconds."""
    local = moment.astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S}" if date else f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"


def ago(moment: datetime) -> str:
    """How long ago a time was, in its largest unit: `3 s ago`; `in 3 s` if it is still to come."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    text = "now"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if abs(seconds) >= size:
            text = f"{int(abs(seconds) / size)} {unit}"
            return f"{text} ago" if seconds > 0 else f"in {text}"
    return text
