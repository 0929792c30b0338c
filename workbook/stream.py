"""A streaming RPC, from the side of a client that waits with a deadline."""

import queue
import threading
from collections.abc import Sequence
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from scheduler.v1 import scheduler_pb2 as pb

from workbook.loop import Hang, LoopThread
from workbook.patience import stretched
from workbook.recorder import Recorder

WITHIN = 5.0
"""How long a test waits for what should come at once, on a quiet machine: `patience.stretched` does the rest."""


class RpcFailed(Exception):
    """An RPC ended with another status than OK."""

    def __init__(
        self, code: grpc.StatusCode, details: str, fields: Sequence[str] = (), call: str = ""
    ) -> None:
        asked = f"{call} should have been answered, and ended with " if call else ""
        super().__init__(f"{asked}{code.name}: {details}")
        self.code = code
        self.details = details
        self.fields = list(fields)
        """The fields that its google.rpc.BadRequest names; none if it carries no such detail."""

    @classmethod
    def of(cls, error: Any, call: str = "") -> "RpcFailed":
        """What a client's `grpc.RpcError` says. `call` is what was asked, in words."""
        status = rpc_status.from_call(error)
        wrong = error_details_pb2.BadRequest()
        for detail in status.details if status is not None else ():
            detail.Unpack(wrong)
        fields = [violation.field for violation in wrong.field_violations]
        return cls(error.code(), error.details() or "", fields, call)


class Stream:
    """A streaming RPC, read by a thread of its own, so that waiting has a deadline."""

    def __init__(
        self, method: str, call: Any, notes: list[str], loop: LoopThread, recorder: Recorder
    ) -> None:
        self.events: list[Any] = []
        """All that came so far and was asked for."""
        self._method = method
        self._call = call
        self._notes = notes
        self._loop = loop
        self._recorder = recorder
        self._queue: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._read, name="stream", daemon=True).start()

    @property
    def has_come(self) -> bool:
        """Whether there is something that nobody has asked for yet."""
        return not self._queue.empty()

    def next(self, within: float = WITHIN) -> Any:
        """The next event. Raises `Hang` if none comes in time, and `AssertionError` if the stream ends instead."""
        item = self.item(within)
        if isinstance(item, RpcFailed):
            if item.code is grpc.StatusCode.OK:
                raise AssertionError(f"your stream ended after {self._told()}, and should have gone on")
            raise item
        return item

    def item(self, within: float = WITHIN) -> Any:
        """The next event, or an `RpcFailed` that says how the stream ended, OK too. Raises `Hang` for neither."""
        within = stretched(within)
        item = self._get(within)
        if item is None:
            raise Hang(self._loop.blocking_line() or f"your stream sent nothing more within {within:g} s")
        return item

    def nothing_for(self, seconds: float) -> None:
        """Make sure that no event comes for so long, and that the stream does not end."""
        item = self._get(seconds)
        if isinstance(item, RpcFailed):
            if item.code is not grpc.StatusCode.OK:
                raise item
            raise AssertionError(f"your stream ended after {self._told()}, and should have gone on")
        if item is not None:
            raise AssertionError(
                f"your stream sent {brief(item)} although nothing had changed since {self._told()}"
            )

    def end(self, within: float = WITHIN) -> None:
        """Make sure that the stream ends with OK, and sends nothing more."""
        within = stretched(within)
        item = self._get(within)
        if item is None:
            raise Hang(
                self._loop.blocking_line()
                or f"your stream sent nothing more and did not end within {within:g} s, after {self._told()}"
            )
        if not isinstance(item, RpcFailed):
            raise AssertionError(f"your stream sent {brief(item)} although it should have ended")
        if item.code is not grpc.StatusCode.OK:
            raise item

    def leave(self) -> None:
        """Cancel the call, as a client does that goes away."""
        self._call.cancel()

    def _get(self, within: float) -> Any:
        """The next event, an `RpcFailed` (code OK for a good end), or None at the deadline."""
        try:
            item = self._queue.get(timeout=within)
        except queue.Empty:
            self._recorder.raise_first()
            return None
        if isinstance(item, RpcFailed):
            self._notes.append(f"{self._method} ended with {item}")
            self._recorder.raise_first()
        else:
            self.events.append(item)
            self._notes.append(f"{self._method} sent {brief(item)}")
        return item

    def _told(self) -> str:
        return ", ".join(brief(event) for event in self.events) or "nothing"

    def _read(self) -> None:
        try:
            for event in self._call:
                self._queue.put(event)
            self._queue.put(RpcFailed(grpc.StatusCode.OK, ""))
        except grpc.RpcError as error:
            self._queue.put(RpcFailed.of(error))


def brief(value: Any) -> str:
    """A message in a few words."""
    match value:
        case pb.JobEvent():
            return f"{pb.JobState.Name(value.state).removeprefix('JOB_STATE_')} v{value.version}"
        case pb.JobStatus():
            return f"a JobStatus in {pb.JobState.Name(value.state).removeprefix('JOB_STATE_')}"
        case pb.ListJobsResponse():
            jobs = "1 job" if len(value.jobs) == 1 else f"{len(value.jobs)} jobs"
            return f"{jobs}, {'a' if value.next_page_token else 'no'} next_page_token"
        case "":
            return '""'
        case pb.CancelJobResponse():
            return f"cancelled: {str(value.cancelled).lower()}"
        case _:
            text = " ".join(str(value).split()) or "a message of defaults (0, false, empty)"
            return text if len(text) <= 60 else text[:60] + "…"
