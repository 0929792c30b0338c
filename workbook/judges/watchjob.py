"""What chapter 03 is judged on.

Open in the contract: the words of a message beyond the error, spellings of an id that `parse_job_id` does not take, how
a refusal is worded, which of several quick changes are skipped, whether a change that nobody hinted at is seen before
the next look is due, whether a look that fell into a pause is made up for (one may be), whether what streams share
stays for the next one (what grows with each stream may not), a status that the database does not know, a database that
goes away during a watch, and hints after Redis has come back.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any, ClassVar
from uuid import UUID, uuid4
from weakref import WeakKeyDictionary, WeakSet

from hypothesis import strategies as st
from scheduler.hints import channel
from scheduler.jobs import TERMINAL, Job, Priority, Status
from scheduler.v1 import scheduler_pb2 as pb

from workbook.clock import jumps_with
from workbook.judge import OPEN, Judge, Row, Seen, Side, refusal
from workbook.judges import odd
from workbook.loop import Hang
from workbook.stream import RpcFailed, Stream
from workbook.world import World

OFTEN = 0.005
"""How long a watch waits between two looks where a play waits for one."""
SELDOM = 60.0
"""And where no look may come of itself."""

GOES_ON = (Status.QUEUED, Status.RUNNING, Status.RETRY)
ENDED = (Status.SUCCEEDED, Status.FAILED, Status.DEADLETTER, Status.CANCELLED)
FAILED_ATTEMPT = (Status.RETRY, Status.FAILED, Status.DEADLETTER)
FAR = 2**63 - 1
"""The largest version that a client can name."""

ZONES = (UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=3, minutes=30)))
MOMENTS = (
    odd.NOON,
    odd.NOON.replace(microsecond=0),
    odd.NOON.replace(microsecond=1),
    odd.NOON.replace(microsecond=999_999),
    odd.NOON.replace(microsecond=120_000),
    datetime(1969, 12, 31, 23, 59, 59, 654_321, UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 8, 7, UTC),
    datetime(2400, 2, 29, 1, 2, 3, 987_653, UTC),
)
ERRORS = ("E", "", 'RuntimeError: it\'s "no" answer', "two\nlines", "x" * 1_999, "日本 %s {0}")
NO_IDS = (
    "",
    "42",
    " ",
    "{{{id}}}",
    "{id}\n",
    "{id}' OR '1'='1",
    "{id}\0",
    "{id}0",
    "%s",
    "é",
    "x" * 36,
)
"""What is no id, made of one that is."""


@contextmanager
def cancellation_is_never_lost() -> Iterator[None]:
    """redis-py sends with `asyncio.wait_for`, which may swallow a cancellation before Python 3.12.

    The lesson says so, and asks nobody to meet it. Within the block, as in each test of the chapter, it can't be met.
    """
    ordinary = asyncio.wait_for

    async def wait_for(work: Any, timeout: float | None) -> Any:
        async with asyncio.timeout(timeout):
            return await work

    if sys.version_info < (3, 12):
        asyncio.wait_for = wait_for  # type: ignore[assignment]
    try:
        yield
    finally:
        asyncio.wait_for = ordinary


def task_1(judge: Judge) -> None:
    judge.compare(_rows_of_any_kind(), _event, examples=150)


def task_2(judge: Judge) -> None:
    judge.each(["while another client watches"], _latecomer)
    judge.each([52], _many_clients)
    judge.compare(st.sampled_from(FIRST), _first_event, examples=2 * len(FIRST))
    judge.compare(st.sampled_from(REFUSED), _refused, examples=2 * len(REFUSED))


def task_3(judge: Judge) -> None:
    # The pace first: with an interval of its own, a story could take minutes.
    judge.compare(st.sampled_from([0.5, 1, 20, 600]), _pause, examples=8)
    judge.each([SlowClient(3, Status.RUNNING)], _slow_client)
    judge.compare(_stories(GOES_ON), _play, examples=30)


def task_4(judge: Judge) -> None:
    judge.compare(_stories((*GOES_ON, *ENDED), ends=True), _play, examples=16)
    judge.each([SlowClient(12, Status.SUCCEEDED)], _slow_client)
    judge.each([0.8 * SELDOM], _deadline)


def task_5(judge: Judge) -> None:
    stories = _stories((*GOES_ON, *ENDED), ends=True, leaves=True)
    judge.compare(stories, partial(_play, tidy=True), examples=20)
    judge.compare(st.sampled_from(REFUSED), partial(_refused, tidy=True), examples=2 * len(REFUSED))


def task_6(judge: Judge) -> None:
    judge.compare(_stories((*GOES_ON, *ENDED), ends=True, resumes=True), _play, examples=20)


def task_7(judge: Judge) -> None:
    stories = _stories((*GOES_ON, *ENDED), ends=True, leaves=True, resumes=True, hints=True)
    judge.each([UPPER_CASE], partial(_play, tidy=True, hinted=True))
    judge.compare(stories, partial(_play, tidy=True, hinted=True), examples=20)
    judge.each(["hints of other jobs"], _hints_of_others)
    judge.compare(st.sampled_from(REFUSED), partial(_refused, tidy=True), examples=2 * len(REFUSED))
    judge.compare(st.just("a client that left while Redis was slow"), _redis_is_slow, examples=1)
    judge.compare(st.sampled_from(AWAY), _redis_goes_away, examples=2 * len(AWAY))


# -- task 1


@dataclass(frozen=True)
class Columns:
    """A row of `tasks`, as a `Job`."""

    status: Status
    last_error: str | None
    updated_at: datetime
    task_id: UUID
    type: str
    priority: Priority
    attempts: int
    version: int

    def __repr__(self) -> str:
        return (
            f"a {self.status} job ({self.priority}, {self.type!r}, attempts {self.attempts}, version {self.version}, "
            f"updated_at {self.updated_at}, last_error {self.last_error!r:.60})"
        )

    @property
    def job(self) -> Job:
        row: dict[str, Any] = dict.fromkeys(Job.__slots__)
        row |= {name: odd.NOON - timedelta(days=1, microseconds=7) for name in ("created_at", "queued_at")}
        row |= {"payload": "{}", "max_attempts": 103, **vars(self), "priority": str(self.priority)}
        return Job.from_row(row)


@st.composite
def _rows_of_any_kind(draw: st.DrawFn) -> Columns:
    status = draw(st.sampled_from((*GOES_ON, *ENDED)))
    errors = ERRORS if status in FAILED_ATTEMPT else (None, *ERRORS)
    return Columns(
        status,
        draw(st.sampled_from(errors)),
        draw(st.sampled_from(MOMENTS)).astimezone(draw(st.sampled_from(ZONES))),
        draw(st.sampled_from(odd.VERSIONS)),
        draw(odd.types()),
        draw(st.sampled_from(list(Priority))),
        draw(st.sampled_from((1, 2, 100))) if status is not Status.QUEUED else draw(st.sampled_from((0, 1))),
        draw(st.sampled_from((1, 6, 2**40, FAR))),
    )


def _event(side: Side, columns: Columns) -> Iterator[Seen]:
    where = f"to_event of {columns!r}"
    got = side.code.to_event(columns.job)
    yield Seen(where, f"a {type(got).__name__}")
    if not isinstance(got, pb.JobEvent):
        return
    yield Seen(f"the job_id in {where}", got.job_id)
    yield Seen(f"the state in {where}", _state(got.state))
    yield Seen(f"the attempts in {where}", got.attempts)
    yield Seen(f"the version in {where}", got.version)
    yield Seen(f"the timestamp in {where}", _moment(got))
    yield Seen(f"the message in {where}", _judged(got.message, columns.status, columns.last_error))


def _state(number: Any) -> Any:
    return pb.JobState.Name(number).removeprefix("JOB_STATE_") if number in pb.JobState.values() else number


def _moment(event: pb.JobEvent) -> str:
    """All its digits: a message can hold more than a row."""
    if not event.HasField("timestamp"):
        return "no time"
    odds = event.timestamp.nanos % 1_000
    more = f" and {odds} ns" if odds else ""
    return event.timestamp.ToDatetime().isoformat(" ", "microseconds") + more


FINE = "words, and why an attempt failed"


def _judged(message: str, status: Status, last_error: str | None) -> str:
    """Which words it is made of is open."""
    if not message.strip():
        return "nothing"
    if last_error is None and "None" in message:
        return f"{message!r}, where last_error is None"
    if status in FAILED_ATTEMPT and (last_error or "") not in message:
        return f"{message[:60]!r}, without the error"
    return FINE


# -- task 2


@dataclass(frozen=True)
class First:
    """A job, and how it is asked for."""

    row: Row
    letters: str = ""

    def __repr__(self) -> str:
        spelled = f", asked for in {self.letters}" if self.letters else ""
        return f"WatchJob of a {self.row.status} job ({self.row.task_id}, {self.row.type!r}){spelled}"


def _row(number: int, status: str, **columns: Any) -> Row:
    """A row whose columns all differ, with times that no float holds."""
    status = Status(status)
    moments = ("updated_at", "started_at", "queued_at", "created_at")
    values: dict[str, Any] = {
        name: odd.NOON - timedelta(days=days, microseconds=7 * days + number)
        for days, name in enumerate(moments, 1)
    }
    values |= {"version": 3, "attempts": 0 if status is Status.QUEUED else 2, "max_attempts": 5}
    values["last_error"] = f"E{number}: it's 100%s" if status in FAILED_ATTEMPT else None
    if status.is_terminal:
        values["finished_at"] = odd.NOON - timedelta(seconds=30)
    return Row(f"job {number}", odd.task_id(number), status, columns=values | columns)


FIRST = [
    *(First(_row(1, status)) for status in (*GOES_ON, *ENDED)),
    *(First(replace(_row(1, "running", version=FAR), task_id=one)) for one in odd.VERSIONS),
    *(First(replace(_row(1, "retry"), type=one)) for one in odd.TYPES[2:6]),
    *(First(_row(1, "queued"), letters) for letters in ("upper case", "mixed letters")),
]
REFUSED = ["another id", *(shape for shape in NO_IDS)]


def _first_event(side: Side, case: First) -> Iterator[Seen]:
    _pace(side, SELDOM)
    side.insert(case.row)
    side.insert(_row(2, "running"))
    text = str(case.row.task_id)
    asked = text.upper() if case.letters == "upper case" else text
    if case.letters == "mixed letters":
        asked = "".join(one.upper() if place % 2 else one for place, one in enumerate(text))
    stream = side.world.stream("WatchJob", job_id=asked)
    live = Live.of(case.row)
    yield Seen(f"the first of {case!r}", _told(_item(stream, f"the first of {case!r}", live.told), live))
    stream.leave()
    _is_over(side)


def _refused(side: Side, shape: str, tidy: bool = False) -> Iterator[Seen]:
    _pace(side, SELDOM)
    rest = _at_rest(side) if tidy else None
    row = _row(1, "running")
    side.insert(row)
    asked = str(odd.task_id(7)) if shape == "another id" else shape.format(id=row.task_id)
    what = f"WatchJob(job_id={asked!r}), where there is the job {row.task_id}"
    wanted = "NOT_FOUND" if shape == "another id" else "INVALID_ARGUMENT, which blames job_id"
    for again in ("", ", asked again"):
        stream = side.world.stream("WatchJob", job_id=asked)
        yield Seen(what + again, _told(_item(stream, what, wanted), Live.of(row)))
        stream.leave()
    if rest is None:
        _is_over(side)
    else:
        what = f"what is left open after {what}"
        yield Seen(what, rest.wait(what))


# -- stories: jobs, clients that watch them, and what happens


@dataclass(frozen=True)
class Change:
    """One more version of a row."""

    status: Status
    rise: int = 1
    when: str = "later"
    """When it says that it was: later than the one before, at the same time, or earlier."""

    def __repr__(self) -> str:
        rise = f", {self.rise} versions further" if self.rise != 1 else ""
        return f"{self.status}{rise}{'' if self.when == 'later' else f', at {self.when} time'}"


@dataclass(frozen=True)
class Step:
    """Something that happens: to a job, or to a client."""

    what: str
    number: int = 0
    changes: tuple[Change, ...] = ()
    hints: int = 0
    after: int | None = None
    upper: bool = False
    """Whether the client writes the id in upper case."""

    def __repr__(self) -> str:
        match self.what:
            case "watch":
                after = "" if self.after is None else f" after_version={self.after}"
                spelled = ", whose id it writes in upper case" if self.upper else ""
                return f"a client watches job {self.number + 1}{after}{spelled}"
            case "change":
                hints = f" ({('no hint', 'a hint', 'two hints')[self.hints]})" if self.hints >= 0 else ""
                return (
                    f"job {self.number + 1} becomes {', then at once '.join(map(repr, self.changes))}{hints}"
                )
            case "leave" | "leave during a look":
                return f"client {self.number + 1} {self.what.replace('leave', 'leaves')}"
            case "hint":
                return f"a hint of job {self.number + 1} comes"
            case what:
                return f"job {self.number + 1} {what}"


STAYS = ("has a heartbeat", "is touched without a new version")
NO_HINTS = -1
"""As the hints of a change where there are none."""


@dataclass(frozen=True)
class Story:
    """Some jobs, and what happens in turn."""

    rows: tuple[Row, ...]
    steps: tuple[Step, ...]

    def __repr__(self) -> str:
        return self.told(self.steps)

    def told(self, steps: Sequence[Step]) -> str:
        jobs = " and ".join(
            f"{row.name} is {row.status} v{row.columns['version']}"
            + (f" (of type {row.type!r})" if row.type != "noop" else "")
            for row in self.rows
        )
        return f"{', '.join(map(repr, steps))}, where {jobs}"


UPPER_CASE = Story(
    (_row(1, "running"),),
    (Step("watch", 0, upper=True), Step("change", 0, (Change(Status.RETRY),), hints=1)),
)


@st.composite
def _stories(
    draw: st.DrawFn,
    statuses: Sequence[Status],
    ends: bool = False,
    leaves: bool = False,
    resumes: bool = False,
    hints: bool = False,
) -> Story:
    """A client watches, up to four things happen, and a change comes last, which shows what was sent too much."""
    count = draw(st.integers(1, 2))
    rows = [
        replace(_row(number, draw(st.sampled_from(GOES_ON))), type=draw(odd.types()))
        for number in range(1, count + 1)
    ]
    if ends and draw(st.integers(0, 3)) == 3:
        rows[-1] = _row(count, draw(st.sampled_from(ENDED)))
    is_over = [Status(row.status).is_terminal for row in rows]
    watched: list[int] = []

    def watch(job: int) -> Step:
        watched.append(job)
        after = draw(st.sampled_from([None, 0, 2, 3, 4, 6, FAR, -1])) if resumes else None
        return Step("watch", job, after=after)

    def change(job: int, among: Sequence[Status], times: int) -> Step:
        steps = [
            Change(
                draw(st.sampled_from(among)),
                draw(st.sampled_from([1, 1, 2, 7])),
                draw(st.sampled_from(["later", "the same", "an earlier"])),
            )
            for _ in range(times)
        ]
        return Step("change", job, tuple(steps), draw(st.integers(0, 2)) if hints else NO_HINTS)

    kinds = ["change", "change", "watch", *(STAYS[:1] if hints else STAYS)]
    kinds += (
        ["leave", "leave", "leave during a look"] if leaves and not hints else ["leave"] if leaves else []
    )
    kinds += ["hint", "hint of another"] if hints else []
    steps = [watch(0)]
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=4)):
        job = draw(st.integers(0, count - 1))
        if kind == "watch":
            steps.append(watch(job))
        elif kind.startswith("leave"):
            steps.append(Step(kind, draw(st.integers(0, len(watched) - 1))))
        elif kind == "change" and not is_over[job]:
            steps.append(change(job, GOES_ON, draw(st.integers(1, 3))))
        elif kind == "hint of another":
            steps.append(Step("hint", 1))
        elif not is_over[job] or kind == "hint":
            steps.append(Step(kind, job))
    for job in sorted(set(watched)):
        if is_over[job]:
            continue
        if ends and draw(st.integers(0, 4)) == 4:
            steps.append(Step("is deleted", job, hints=1 if hints else 0))
            continue
        last = change(job, ENDED if ends else statuses, 1)
        steps.append(replace(last, hints=max(1, last.hints) if hints else NO_HINTS))
    return Story(tuple(rows), tuple(steps))


@dataclass
class Live:
    """A row as it is now, and how an event tells it."""

    name: str
    task_id: UUID
    status: Status
    version: int
    attempts: int
    updated_at: datetime
    last_error: str | None
    is_there: bool = True
    earlier: set[str] = field(default_factory=set)
    """What was there before, and may have been seen."""
    silent: bool = False
    """Whether nobody has hinted at the newest version."""

    @classmethod
    def of(cls, row: Row) -> "Live":
        columns = row.columns
        own = [columns[name] for name in ("version", "attempts", "updated_at", "last_error")]
        return cls(row.name, row.task_id, Status(row.status), *own)

    @property
    def told(self) -> str:
        moment = self.updated_at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
        return f"{self.name} {self.status.name} v{self.version}, attempts {self.attempts}, at {moment}"

    def change(self, side: Side, row: Row, change: Change) -> None:
        """One more version, as another process writes it."""
        self.earlier.add(self.told)
        self.status = change.status
        self.version += change.rise
        self.attempts += change.status is Status.RUNNING
        steps = {"later": timedelta(seconds=61, microseconds=1), "an earlier": -timedelta(microseconds=7)}
        self.updated_at += steps.get(change.when, timedelta(0))
        if change.status in FAILED_ATTEMPT:
            self.last_error = f"E{self.version}: it's 100%s"
        names = ("version", "attempts", "updated_at", "last_error")
        side.change(row, self.status, **{name: getattr(self, name) for name in names})


@dataclass
class Client:
    """A client that watches a job."""

    stream: Stream
    job: int
    seen: int
    """Nothing up to this version comes any more."""
    is_new: bool = True
    is_open: bool = True


def _play(side: Side, case: Story, tidy: bool = False, hinted: bool = False) -> Iterator[Seen]:
    """What each client is sent after each step. The labels say what has happened so far."""
    rest = _at_rest(side) if tidy else None
    _pace(side, SELDOM if hinted else OFTEN)
    looks = Looks.of(side.world)
    rows = [replace(row, task_id=uuid4()) for row in case.rows]  # all indexes of a Redis share its channels
    lives = [Live.of(row) for row in rows]
    clients: list[Client] = []
    for row in rows:
        side.insert(row)
    for number, step in enumerate(case.steps, 1):
        what = case.told(case.steps[:number])
        begun = looks.begun
        match step.what:
            case "watch":
                after = {} if step.after is None else {"after_version": step.after}
                task_id = str(rows[step.number].task_id)
                asked = task_id.upper() if step.upper else task_id
                stream = side.world.stream("WatchJob", job_id=asked, **after)
                clients.append(Client(stream, step.number, step.after or 0))
            case "leave" | "leave during a look":
                client = clients[step.number]
                if client.is_open and step.what == "leave during a look":
                    looks.hold(what)
                client.stream.leave()
                client.is_open = False
                looks.let_go()
                if rest is not None:
                    rest.wait_for_calls(sum(one.is_open for one in clients), f"after: {what}")
            case "hint":
                _hint(side, rows, step.number, lives)
            case _:
                _happens(side, step, rows[step.number], lives[step.number])
                for _ in range(step.hints):
                    _hint(side, rows, step.number, lives)
        for place, client in enumerate(clients, 1):
            if client.is_open:
                yield from _settle(client, lives[client.job], f"what client {place} is sent after: {what}")
        if step.what == "watch" and hinted and clients[-1].is_open:
            _subscribed(side, rows[step.number].task_id, what)
        if (
            step.what in STAYS
            and not hinted
            and any(one.is_open and one.job == step.number for one in clients)
        ):
            looks.another(begun, what)
    for client in clients:
        client.stream.leave()
    if rest is None:
        _is_over(side)
    else:
        yield Seen(f"what is left open after: {case!r}", rest.wait(f"what is left open after: {case!r}"))


def _happens(side: Side, step: Step, row: Row, live: Live) -> None:
    sql, where = side.world.sql, "WHERE task_id = %s"
    match step.what:
        case "change":
            for change in step.changes:
                live.change(side, row, change)
            live.silent = step.hints == 0
        case "is deleted":
            sql(f"DELETE FROM tasks {where}", row.task_id)
            live.is_there = False
            live.earlier.add(live.told)  # it may have been seen without a hint
            live.silent = False
        case "has a heartbeat":
            moves = "lease_expires_at = lease_expires_at + interval '1 minute', pushed_at = pushed_at + interval '1 s'"
            sql(f"UPDATE tasks SET {moves}, worker = 'another/2' {where}", row.task_id)
        case _:
            sql(f"UPDATE tasks SET updated_at = updated_at + interval '1 s' {where}", row.task_id)
            live.updated_at += timedelta(seconds=1)


def _settle(client: Client, live: Live, what: str) -> Iterator[Seen]:
    """All that the client must be sent by now, and the end, if there is nothing more to come."""
    if live.silent and not client.is_new:
        return
    client.is_new = False
    wanted = [live.told] if live.is_there and live.version > client.seen else []
    end = "NOT_FOUND" if not live.is_there else "the end, with OK" if live.status in TERMINAL else ""
    got = _read(client, live, what, wanted, end)
    if wanted:
        client.seen = live.version
    if wanted or end:
        yield Seen(what, got)
    client.is_open = not end


def _read(client: Client, live: Live, what: str, wanted: list[str], end: str) -> str:
    """Read as far as the newest version, and the end. What may have been skipped is left out."""
    told: list[str] = []
    waits_for = live.version if wanted else None
    newest = client.seen
    while waits_for is not None or end:
        item = _item(client.stream, what, _joined([*wanted, end]), told)
        told.append(_told(item, live))
        if isinstance(item, RpcFailed):
            break
        if newest < item.version and told[-1] in live.earlier:
            told.pop()
        newest = max(newest, item.version)
        if waits_for is not None and item.version >= waits_for:
            if not end:
                break
            waits_for = None
    return _joined(told)


def _joined(told: Sequence[str]) -> str:
    return ", then ".join(one for one in told if one)


def _item(stream: Stream, what: str, wanted: str, told: Sequence[str] = ()) -> Any:
    """The next event, or how the stream ended."""
    try:
        return stream.item()
    except Hang as hang:
        got = f", got {_joined(told)}" if told else ""
        raise Hang(f"{what}: expected {wanted}{got}, and {hang}") from None


def _told(item: Any, live: Live) -> str:
    """An event as `Live.told` has it, with what is wrong about its words."""
    if isinstance(item, RpcFailed):
        return "the end, with OK" if item.code.name == "OK" else refusal(item)
    name = live.name if item.job_id == str(live.task_id) else repr(item.job_id)
    told = f"{name} {_state(item.state)} v{item.version}, attempts {item.attempts}, at {_moment(item)}"
    last_error = live.last_error if item.version == live.version else ""
    words = _judged(item.message, live.status, last_error) if item.version == live.version else FINE
    return told if words == FINE else f"{told}, with the message {words}"


# -- clients that are many, late, slow, or in a hurry


def _latecomer(side: Side, when: str) -> Iterator[Seen]:
    """The row has changed since somebody else was told of it."""
    _pace(side, SELDOM)
    row = replace(_row(1, "running"), task_id=uuid4())
    live = Live.of(row)
    side.insert(row)
    streams: list[Stream] = []
    for what in ("the first of one client", f"the first of a client that comes after a change, {when}"):
        if streams:
            live.change(side, row, Change(Status.RETRY))
        streams.append(side.world.stream("WatchJob", job_id=row.task_id))
        yield Seen(what, _told(_item(streams[-1], what, live.told), live))
    for stream in streams:
        stream.leave()
    _is_over(side)


def _many_clients(side: Side, number: int) -> Iterator[Seen]:
    """Each is told at once, however many wait."""
    _pace(side, SELDOM)
    row = replace(_row(1, "running"), task_id=uuid4())
    live = Live.of(row)
    side.insert(row)
    streams = [side.world.stream("WatchJob", job_id=row.task_id) for _ in range(number)]
    for place, stream in enumerate(streams):
        what = f"the first of a client that watches, where {place} others do and nothing happens"
        yield Seen(what, _told(_item(stream, what, live.told), live))
    for stream in streams:
        stream.leave()
    _is_over(side)


@dataclass(frozen=True)
class SlowClient:
    """One of two clients takes the first event and no more, while so many changes come, the last to this status."""

    changes: int
    last: Status

    def __repr__(self) -> str:
        return f"{self.changes} changes, the last to {self.last}"


def _slow_client(side: Side, case: SlowClient) -> Iterator[Seen]:
    """The other one is told of each change, and the slow one of the last when it goes on to take."""
    _pace(side, OFTEN)
    looks = Looks.of(side.world)
    row = replace(_row(1, "running"), task_id=uuid4())
    live = Live.of(row)
    side.insert(row)
    stream, taken = side.world.slow_stream("WatchJob", job_id=row.task_id)
    slow = Client(stream, 0, 0)
    yield from _settle(slow, live, "the first of a client")
    other = Client(side.world.stream("WatchJob", job_id=row.task_id), 0, 0)
    where = "where another client of the job has taken one event and does not take the next"
    yield from _settle(other, live, f"the first of a client, {where}")
    for number in range(1, case.changes + 1):
        is_last = number == case.changes
        begun = looks.begun
        live.change(side, row, Change(case.last if is_last else GOES_ON[number % 2]))
        yield from _settle(other, live, f"what a client is sent of change {number}, {where}")
        if other.is_open:
            looks.another(begun, f"change {number}, {where}")
    side.world.let_go(taken)
    yield from _settle(
        slow, live, f"what a client is sent that took no event during {case!r}, and goes on then"
    )
    for client in (slow, other):
        client.stream.leave()
    _is_over(side)


def _deadline(side: Side, seconds: float) -> Iterator[Seen]:
    """A client that waits no longer than so, and not for the next look, is not told that the job has ended."""
    _pace(side, SELDOM)
    looks = Looks.of(side.world)
    row = replace(_row(1, "running"), task_id=uuid4())
    live = Live.of(row)
    side.insert(row)
    client = Client(side.world.stream_with_deadline("WatchJob", seconds, job_id=row.task_id), 0, 0)
    what = "a client whose deadline comes before the next look"
    yield from _settle(client, live, f"the first of {what}")
    follows = _follows_the_clock(side, looks)
    what = f"what is sent of a change to {what}, and is not over yet"
    if follows:
        live.change(side, row, Change(Status.RETRY))
        side.world.jump(SELDOM + 1)
    if follows or client.stream.has_come:
        yield Seen(what, _told(_item(client.stream, what, live.told), live))
    else:
        yield Seen(what, OPEN)
    client.stream.leave()
    _is_over(side)


# -- a pause


def _pause(side: Side, intervals: float) -> Iterator[Seen]:
    """The process stands still, as on a machine that sleeps, and goes on. Half an interval is none."""
    fine, most = ("no look", 0) if intervals < 1 else ("one look, or two", 2)
    what = f"a watch whose process stands still for {intervals:g} times watch_poll_seconds"
    _pace(side, SELDOM)
    looks = Looks.of(side.world)
    side.world.jump(SELDOM)  # what was left of earlier watches finds no row, and ends
    looks.soon(looks.begun, enough=MOST_LOOKS)
    row = _row(1, "running")
    side.insert(row)
    stream = side.world.stream("WatchJob", job_id=row.task_id)
    live = Live.of(row)
    yield Seen(f"the first of {what}", _told(_item(stream, f"the first of {what}", live.told), live))
    if _follows_the_clock(side, looks):
        begun = looks.begun
        side.world.jump(intervals * SELDOM + (1 if intervals >= 1 else 0))
        number = looks.soon(begun, enough=most + 1)
    else:
        number = 0
    got = "a look before it was due" if intervals < 1 else "many looks at once"
    yield Seen(f"the looks right after the pause, of {what}", fine if number <= most else got)
    stream.leave()
    _is_over(side)


def _follows_the_clock(side: Side, looks: "Looks") -> bool:
    """Let the watch look once more by the clock of the loop, so that it waits from then on; whether it does."""
    world = side.world
    for _ in range(0 if world in _own_clock else 3):
        looks.rest()  # a look, or a subscription, that is under way would miss its own deadline by the jump
        begun = looks.begun
        world.jump(SELDOM + 1)
        try:
            world.until(lambda begun=begun: looks.begun > begun, "a look", 0.2)  # type: ignore[misc]
        except Hang:  # it had not begun to wait, or knows another clock
            continue
        looks.rest()
        return True
    _own_clock.add(world)
    return False


_own_clock: "WeakSet[World]" = WeakSet()


# -- what a world does, and what it holds


def _pace(side: Side, seconds: float) -> None:
    """From now on a new watch looks so often."""
    side.world.serve()
    Looks.of(side.world)  # before the first watch
    app = side.world.app
    if app.settings.watch_poll_seconds != seconds:
        settings = app.settings.model_copy(update={"watch_poll_seconds": seconds})
        object.__setattr__(app, "settings", settings)
        app.hub._poll_seconds = seconds
        side.world.jump(SELDOM)  # a pause of the hub's that has begun is over


MOST_LOOKS = 300
"""After so many, what does not stop to look is left to itself."""


class Looks:
    """The statements that the server sends to the database, but for those of its own duties."""

    _all: ClassVar["WeakKeyDictionary[World, Looks]"] = WeakKeyDictionary()

    def __init__(self, world: World) -> None:
        self.begun = self.ended = 0
        self._world = world
        self._own = 0
        self._flows = world.event()
        world.let_go(self._flows)
        background = world.tasks()
        pool: Any = world.app.db._pool
        ordinary = pool.connection

        @asynccontextmanager
        async def counted(*args: Any, **options: Any) -> Any:
            own = asyncio.current_task() not in background
            self.begun += own
            try:
                await self._flows.wait()
                async with ordinary(*args, **options) as connection:
                    yield connection
            finally:
                self.ended += own

        pool.connection = counted

    @classmethod
    def of(cls, world: World) -> "Looks":
        if world not in cls._all:
            cls._all[world] = cls(world)
        return cls._all[world]

    def another(self, begun: int, what: str) -> None:
        """Wait for a look that began after so many others."""
        self._until(lambda: self.ended > begun + 1, f"{what}: expected one look after another, and saw none")

    def hold(self, what: str) -> None:
        """Hold up the answers of the database until `let_go`, and wait until somebody waits for one."""
        self._flows.clear()
        waits = f"{what}: expected one look after another, and saw none"
        self._until(lambda: self.begun > self.ended, waits)

    def let_go(self) -> None:
        if not self._flows.is_set():
            self._world.let_go(self._flows)

    def rest(self) -> None:
        """Wait until what can go on without a clock has gone on: looks, and the steps of a subscription, six or so."""
        self.soon(self.begun, enough=MOST_LOOKS, quiet_rounds=12)

    def soon(self, begun: int, enough: int, quiet_rounds: int = 5) -> int:
        """How many begin as fast as they can, since there were so many.

        Each round lets whoever waits for an answer of the database, or of Redis, take one step.
        """
        quiet = 0
        for _ in range(MOST_LOOKS):
            if self.begun - begun >= enough or quiet == quiet_rounds:
                break
            before = self.begun
            self._world.run(lambda app: app.queue.redis.ping())
            self._world.run(lambda app: app.db.fetch_all("SELECT 1"))
            begun += 1  # our own
            quiet = quiet + 1 if self.begun == before + 1 and self.begun == self.ended else 0
        return self.begun - begun

    def _until(self, look: Callable[[], bool], what: str) -> None:
        try:
            self._world.until(look, what)
        except Hang as hang:
            blocked = self._world.blocking_line()
            raise Hang(blocked or f"{what} ({hang})") from None


@dataclass
class Rest:
    """What a world holds when nobody watches: tasks by what they run, and connections to Redis, the app's and other."""

    world: World
    tasks: Counter[str]
    connections: tuple[int, int]

    @classmethod
    def of(cls, world: World) -> "Rest":
        return cls(world, _tasks(world), _connections(world))

    def more(self) -> list[str]:
        """What there is beyond that."""
        tasks = _tasks(self.world) - self.tasks
        calls = sum(tasks.pop(name, 0) for name in CALL)
        more = ["a call that your code has not ended"] if calls else []
        more += [f"{number} {_plural('task', number)} ({name})" for name, number in sorted(tasks.items())]
        now, then = _connections(self.world), self.connections
        connections = sum(max(0, one - other) for one, other in zip(now, then, strict=True))
        return more + [f"{connections} {_plural('connection', connections)} to Redis"] * (connections > 0)

    def wait_for_calls(self, number: int, what: str) -> None:
        """Wait until no more calls than these go on."""
        try:
            self.world.until(lambda: _tasks(self.world)[CALL[0]] <= number, "its call had ended")
        except Hang as hang:
            more = _tasks(self.world)[CALL[0]]
            raise Hang(f"{what}: expected {number} calls to go on, got {more} ({hang})") from None

    def wait(self, what: str) -> str:
        """Wait until there is nothing beyond that."""
        try:
            self.world.until(lambda: not self.more(), "all was given back")
        except Hang as hang:
            raise Hang(f"{what}: expected nothing, got {' and '.join(self.more())} ({hang})") from None
        return "nothing"


CALL = ("_handle_exceptions", "_schedule_rpc_coro")
"""What gRPC runs as long as a call is not over."""


def _plural(word: str, number: int) -> str:
    return word if number == 1 else f"{word}s"


def _tasks(world: World) -> Counter[str]:
    names = Counter(str(getattr(task.get_coro(), "__qualname__", None)) for task in world.tasks())
    own = ("AioServer.", "AsyncConnectionPool.")
    return Counter({name: number for name, number in names.items() if not name.startswith(own)})


def _is_over(side: Side) -> None:
    """Wait until the calls have ended whose clients have left. What never ends is for task 5."""
    world = side.world
    if world not in _endless:
        try:
            world.until(lambda: not any(_tasks(world)[name] for name in CALL), "the calls were over", 1)
        except Hang:
            _endless.add(world)


_endless: "WeakSet[World]" = WeakSet()


def _connections(world: World) -> tuple[int, int]:
    """Those that somebody holds, and does not lie idle in the pool: of the app's own client, and of any other.

    The first number is exact. For the second, Redis and the client may disagree for a moment about a connection that
    is being made or closed.
    """
    index = str(world.settings.redis_db)
    pool: Any = world.app.queue.redis.connection_pool
    held = [one for one in list(pool._in_use_connections) if one.is_connected]
    idle = [one for one in list(pool._available_connections) if one.is_connected]
    clients: list[dict[str, str]] = world.redis.client_list()
    others = sum(client["db"] == index for client in clients) - len(held) - len(idle)
    return len(held), others


_rests: "WeakKeyDictionary[World, Rest]" = WeakKeyDictionary()


def _at_rest(side: Side) -> Rest:
    """What the world holds when one client has come and gone: what is there for all of them is there by then."""
    world = side.world
    if world not in _rests:
        _pace(side, SELDOM)
        before = _tasks(world)
        row = _row(9, "running")
        side.insert(row)
        stream = world.stream("WatchJob", job_id=row.task_id)
        what = "the first event of a running job"
        live = Live.of(row)
        _item(stream, what, live.told)
        stream.leave()
        calls = Rest(world, before, (0, 0))
        what = "a client left after its first event"
        try:
            world.until(lambda: not any(_tasks(world)[name] for name in CALL), "its call had ended")
        except Hang as hang:
            raise Hang(f"{what}: expected its call to end, got {calls.more()[0]} ({hang})") from None
        _without_half_made_connections(world)
        _rests[world] = Rest.of(world)
    return _rests[world]


# -- Redis


def _without_half_made_connections(world: World) -> None:
    """A connection that was being made when its client left lies half made in redis-py's pool, and is handed out so.

    The next to get it may have no subscription: nobody is asked to meet that.
    """
    world.run(lambda app: app.queue.redis.connection_pool.disconnect(inuse_connections=False))
    world.run(lambda app: app.queue.redis.ping())


def _hint(side: Side, rows: Sequence[Row], job: int, lives: Sequence[Live]) -> None:
    """A hint of one of the jobs, or of one that nobody watches."""
    task_id = rows[job].task_id if job < len(rows) else uuid4()
    side.world.redis.publish(channel(task_id), "changed")
    if job < len(lives):
        lives[job].silent = False


def _subscribed(side: Side, task_id: UUID, what: str) -> None:
    """Wait until Redis has read all that the code has sent so far, and somebody has subscribed."""
    redis = side.world.redis
    side.world.run(lambda app: app.queue.redis.ping())
    redis.ping()
    name, index = channel(task_id), str(side.world.settings.redis_db)

    def hears() -> bool:
        by_pattern = (client["db"] == index and client["psub"] != "0" for client in redis.client_list())
        return bool(redis.pubsub_numsub(name)[0][1]) or any(by_pattern)

    try:
        side.world.until(hears, "somebody subscribed", 2)
    except Hang as hang:
        every = [one.decode("utf-8", "replace") for one in redis.pubsub_channels()]
        alike = [one for one in every if str(task_id) in one.lower()]
        wanted, got = (name, alike[0]) if alike else ("job:{id}", "none")
        raise Hang(f"{what}: expected a subscriber of {wanted}, got {got} ({hang})") from None


def _hints_of_others(side: Side, what: str) -> Iterator[Seen]:
    """They come more often than a look is due, and the look comes all the same."""
    _pace(side, SELDOM)
    with jumps_with(side.code, side.world.loop.jumped):  # a deadline may be kept by any clock
        yield from _hear_of_others(side, what)


def _hear_of_others(side: Side, what: str) -> Iterator[Seen]:
    looks = Looks.of(side.world)
    rows = [replace(_row(number, "running"), task_id=uuid4()) for number in (1, 2)]
    lives = [Live.of(row) for row in rows]
    side.insert(*rows)
    clients = [
        Client(side.world.stream("WatchJob", job_id=row.task_id), job, 0) for job, row in enumerate(rows)
    ]
    for client, live in zip(clients, lives, strict=True):
        yield from _settle(client, live, f"the first of {live.name}")
    what = f"what is sent of a change without a hint in twice watch_poll_seconds, while {what} come all along"
    if _follows_the_clock(side, looks):
        lives[0].change(side, rows[0], Change(Status.RETRY))
        for _ in range(3):
            side.world.jump(SELDOM * 2 / 3)
            for job in (1, 2):
                _hint(side, rows, job, lives)
            looks.rest()
        yield from _settle(clients[0], lives[0], what)
    else:
        yield Seen(what, OPEN)
    for client in clients:
        client.stream.leave()
    _is_over(side)


@dataclass(frozen=True)
class Away:
    """A watch that Redis leaves, and how it ends."""

    when: str
    ends: str

    def __repr__(self) -> str:
        return f"a watch of a job that {self.ends}, where Redis goes away {self.when}"


AWAY = [
    Away(when, ends)
    for when in ("before the watch", "during the watch")
    for ends in ("has succeeded", "changes, and its client leaves", "is deleted", "nobody has")
    if (when, ends) != ("during the watch", "nobody has")
]


def _redis_goes_away(side: Side, case: Away) -> Iterator[Seen]:
    """No hints are left, and the stream ends as it would with Redis there."""
    rest = _at_rest(side)
    _pace(side, OFTEN)
    row = replace(_row(1, "running"), task_id=uuid4())
    live = Live.of(row)
    side.insert(row)
    with _redis_away(side) as go_away:
        if case.when == "before the watch":
            go_away()
        asked = uuid4() if case.ends == "nobody has" else row.task_id
        live.is_there = asked == row.task_id
        client = Client(side.world.stream("WatchJob", job_id=asked), 0, 0)
        yield from _settle(client, live, f"the first of {case!r}")
        if case.when == "during the watch":
            _subscribed(side, asked, repr(case))
            go_away()
        last = [Change(Status.SUCCEEDED)] if case.ends == "has succeeded" else []
        for number, change in enumerate([Change(Status.RETRY), Change(Status.QUEUED), *last], 1):
            if client.is_open:
                live.change(side, row, change)
                yield from _settle(client, live, f"what comes of change {number} of {case!r}")
        if client.is_open and case.ends == "is deleted":
            _happens(side, Step("is deleted"), row, live)
            yield from _settle(client, live, f"the end of {case!r}")
        client.stream.leave()
        yield Seen(f"what is left open after {case!r}", rest.wait(f"what is left open after {case!r}"))


@contextmanager
def _redis_away(side: Side) -> Iterator[Callable[[], None]]:
    """Redis can go away while the block runs, and is back when it ends."""
    proxy = side.world.proxies["redis"]

    def forget() -> None:
        side.world.run(lambda app: app.queue.redis.connection_pool.disconnect(inuse_connections=False))

    def go_away() -> None:
        proxy.cut()
        forget()  # a connection that idles in the pool may look alive a while longer

    try:
        yield go_away
    finally:
        proxy.mend()
        forget()


def _redis_is_slow(side: Side, ends: str) -> Iterator[Seen]:
    """The client leaves while nothing comes from Redis."""
    _pace(side, SELDOM)
    rest = _at_rest(side)
    row = replace(_row(1, "running"), task_id=uuid4())
    side.insert(row)
    with side.world.redis_stands_still() as asked:
        stream = side.world.stream("WatchJob", job_id=row.task_id)
        side.world.until(
            lambda: asked.is_set() or stream.has_come, "the stream asked Redis, or sent its first event"
        )
        stream.leave()
    what = f"what is left open after {ends}"
    yield Seen(what, rest.wait(what))
    _without_half_made_connections(side.world)
