"""What a handler reads of its job's payload. What is wrong with a payload no retry can mend."""

import json
from typing import Any

from scheduler.jobs import Job, PermanentError


def fields_of(job: Job) -> dict[str, Any]:
    """The payload's fields. Raises `PermanentError` if it is no JSON object."""
    payload = job.payload
    if not isinstance(payload, dict):
        raise PermanentError(f"the payload must be a JSON object, not {json.dumps(payload)[:50]}")
    return payload


def number_of(job: Job, name: str, default: float, largest: float) -> float:
    """A field that is a number from 0 to `largest`. Raises `PermanentError` if it is anything else."""
    value = fields_of(job).get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= largest:
        raise PermanentError(f"{name} must be a number from 0 to {largest:g}, not {json.dumps(value)[:50]}")
    return value
