"""What can be wrong with a request, and the gRPC status that says so.

Pieces raise these; `server.py` turns what they raise into a status. No status carries SQL, a stack trace or a secret.
"""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn
from uuid import UUID

import grpc
import psycopg
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

from scheduler.database import Busy, Conflict, TooSlow

log = logging.getLogger(__name__)


class Violation(NamedTuple):
    """A field that is wrong, as the client spells it (`job.type`, `jobs[3].payload_json`), and what would be right."""

    field: str
    why: str


MOST_VIOLATIONS = 10
"""A status travels in a header, and gRPC clients throw away headers above 8 KiB."""


class InvalidRequest(Exception):
    """The request is malformed: INVALID_ARGUMENT, with a google.rpc.BadRequest that names each field, ten at most."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = violations[:MOST_VIOLATIONS]
        super().__init__("; ".join(f"{field} {why}" for field, why in self.violations))


class JobNotFound(Exception):
    """There is no job of this id: NOT_FOUND."""

    def __init__(self, task_id: UUID) -> None:
        super().__init__(f"there is no job {task_id}")


class LimitPassed(Exception):
    """The server has as much to do as it will take on: RESOURCE_EXHAUSTED."""


class NotAMessage(Exception):
    """The request's bytes can't be read as what the method takes: INVALID_ARGUMENT."""

    def __init__(self) -> None:
        super().__init__("the request is no message that this method takes")


class Draining(Exception):
    """The server is stopping: UNAVAILABLE."""

    def __init__(self) -> None:
        super().__init__("the server is stopping; call again")


Context = aio.ServicerContext[Any, Any]


class Errors:
    """How a piece refuses a request. `app.errors` is one of these."""

    async def invalid(self, context: Context, field: str, why: str) -> NoReturn:
        """End the call with INVALID_ARGUMENT. `why` completes the sentence that begins with the field's name."""
        await self.abort(context, InvalidRequest([Violation(field, why)]))

    async def abort(self, context: Context, error: Exception) -> NoReturn:
        """End the call with the status that `error` stands for; what nobody foresaw is logged and becomes INTERNAL."""
        code, message = status_of(error)
        if code is grpc.StatusCode.INTERNAL:
            log.error("a call failed for a reason that nobody foresaw", exc_info=error)
        metadata = _bad_request(message, error.violations) if isinstance(error, InvalidRequest) else ()
        await context.abort(code, message, metadata)


def status_of(error: Exception) -> tuple[grpc.StatusCode, str]:
    """The status code and the sentence that a client gets for an exception."""
    match error:
        case InvalidRequest() | NotAMessage():
            return grpc.StatusCode.INVALID_ARGUMENT, str(error)
        case JobNotFound():
            return grpc.StatusCode.NOT_FOUND, str(error)
        case LimitPassed():
            return grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)
        case Draining():
            return grpc.StatusCode.UNAVAILABLE, str(error)
        case Busy():
            return grpc.StatusCode.RESOURCE_EXHAUSTED, "the database is busy; call again a little later"
        case TooSlow():
            return (
                grpc.StatusCode.DEADLINE_EXCEEDED,
                "the database took too long, and did nothing; call again",
            )
        case Conflict():
            return grpc.StatusCode.ABORTED, "other calls came in between, and nothing was done; call again"
        case psycopg.OperationalError():
            return grpc.StatusCode.UNAVAILABLE, "the database is out of reach; call again"
        case _:
            return grpc.StatusCode.INTERNAL, "something went wrong in the server; its log says what"


def _bad_request(message: str, violations: Sequence[Violation]) -> tuple[tuple[str, bytes]]:
    detail = any_pb2.Any()
    detail.Pack(
        error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(field=field, description=why)
                for field, why in violations
            ]
        )
    )
    status = status_pb2.Status(
        code=grpc.StatusCode.INVALID_ARGUMENT.value[0], message=message, details=[detail]
    )
    # grpc.aio has no abort_with_status; this header is what it would send.
    return (("grpc-status-details-bin", status.SerializeToString()),)
