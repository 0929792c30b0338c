"""From a message of the API to a `NewJob`. Given to the learner."""

from uuid import uuid4

from scheduler.errors import InvalidRequest, Violation
from scheduler.jobs import DEFAULT_ATTEMPTS, NewJob, Priority, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

MAX_JOBS = 1_000

PRIORITIES: dict[int, Priority] = {
    pb.PRIORITY_UNSPECIFIED: Priority.DEFAULT,
    **{pb.Priority.Value(f"PRIORITY_{priority.name}"): priority for priority in Priority},
}


def read_job(message: pb.Job, prefix: str = "job") -> NewJob:
    """Read and check one job. Raises `InvalidRequest` that names every field that is wrong."""
    new, violations = _read(message, prefix)
    if violations:
        raise InvalidRequest(violations)
    return new


def read_jobs(request: pb.SubmitJobsRequest) -> list[NewJob]:
    """Read and check up to 1,000 jobs. Raises `InvalidRequest` that names each field that is wrong (`jobs[3].type`)."""
    if len(request.jobs) > MAX_JOBS:
        raise InvalidRequest([Violation("jobs", f"must be at most {MAX_JOBS}, not {len(request.jobs)}")])
    read = [_read(message, f"jobs[{position}]") for position, message in enumerate(request.jobs)]
    if violations := [violation for _, found in read for violation in found]:
        raise InvalidRequest(violations)
    return [new for new, _ in read]


def _read(message: pb.Job, prefix: str) -> tuple[NewJob, list[Violation]]:
    violations: list[Violation] = []
    task_id = uuid4()
    if message.job_id:
        try:
            task_id = parse_job_id(message.job_id, f"{prefix}.job_id")
        except InvalidRequest as error:
            violations += error.violations
    if message.priority not in PRIORITIES:
        why = f"must be one of the API's priorities, and {message.priority} is not"
        violations.append(Violation(f"{prefix}.priority", why))
    new = NewJob(
        type=message.type,
        priority=PRIORITIES.get(message.priority, Priority.DEFAULT),
        payload_json=message.payload_json or "{}",
        idempotency_key=message.idempotency_key or None,
        max_attempts=message.max_attempts or DEFAULT_ATTEMPTS,
        task_id=task_id,
    )
    return new, [*violations, *new.violations(prefix)]
