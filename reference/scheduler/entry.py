"""An entry of a queue: which job waits. Given to the learner; chapter 01 writes the bytes that this reads."""

import json
from typing import NamedTuple, Protocol
from uuid import UUID

from scheduler.jobs import Priority


class Queueable(Protocol):
    """What an entry is made of. A `Job` has it, and so has an `Entry` itself."""

    @property
    def task_id(self) -> UUID: ...
    @property
    def type(self) -> str: ...
    @property
    def priority(self) -> Priority: ...


class Entry(NamedTuple):
    """One entry of a queue: the job that waits."""

    task_id: UUID
    type: str
    priority: Priority


def decode_entry(raw: bytes | str) -> Entry:
    """Read an entry. Raises `ValueError` if it is not one: Redis holds what anybody pushed."""
    try:
        fields = json.loads(raw)
        return Entry(UUID(fields["task_id"]), str(fields["type"]), Priority(fields["priority"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"not an entry of a queue: {raw[:200]!r}") from error
