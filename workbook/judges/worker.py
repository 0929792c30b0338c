"""What chapter 06 is judged on: the functions here, and the class `Worker` in `worker_class`.

Open in the contract: how many entries a take brings and how many rows a pump or a reaper does at once, in which order
rows come back, what a worker calls itself, in which words an error is told, whether an attempt that ended is said to
be written once more, whether a row that stands in the way of one of `task_attempts` is written over or refused, whether
a claim waits for a row that somebody else has locked and leaves queued, or leaves it to the reconciler, and whether
anybody is told by `app.hints`; who is told finds what was written.
"""

import asyncio
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from psycopg.errors import SerializationFailure
from redis.exceptions import BusyLoadingError, ReadOnlyError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from scheduler.database import DatabaseError, Lost
from scheduler.entry import Entry
from scheduler.jobs import Job, PermanentError, Priority, Status

from workbook.clock import AHEAD, an_hour_ahead
from workbook.hurry import heard
from workbook.judge import Judge, Row, Seen, Side
from workbook.judges import odd
from workbook.judges.hints import notes_of
from workbook.judges.worker_class import drain, task_8, task_9, task_10, task_14
from workbook.world import World

__all__ = ["task_8", "task_9", "task_10", "task_14"]
"""The class's, for the judge looks for all tasks here."""

FAR = datetime(2124, 5, 17, 12, 0, 0, 654_321, UTC)
LAST_ERRORS = (None, "RuntimeError: earlier", "lease expired")
WORKERS = ("host:1", "another/1")


def task_1(judge: Judge) -> None:
    judge.each(["one"], _entry_in_its_hand)
    judge.compare(_queues(), _takes, examples=40)
    judge.compare(st.sampled_from(list(Priority)[1:]), _urgent_comes_in)
    judge.compare(st.just("slow"), _pop_under_way)
    judge.compare(st.just("empty"), _pop_that_waits)


@contextmanager
def _clock_ahead(judge: Judge, piece: str) -> Iterator[None]:
    """All times are the database's: the code under test has a clock that is wrong."""
    side = judge.mine
    side.offsets["an hour from now, as this process's clock is an hour ahead of the database's"] = AHEAD
    codes = [side.code, *(world.code for world in side.worlds[1:])]
    for code in codes:
        getattr(code, piece)  # is loaded: only what is there can be given another clock
    with ExitStack() as stack:
        for code in codes:
            stack.enter_context(an_hour_ahead(code))
        yield


def task_2(judge: Judge) -> None:
    with _clock_ahead(judge, "claim"):
        judge.compare(_claims(), _claims_twice, examples=40)
        judge.each(BESIDE_OTHERS, _claims_twice)
    judge.compare(_claims(most_changes=0), _two_claim, examples=12)
    judge.compare(_rivals(("running", "cancelled")), _claim_beside_a_rival, examples=8)
    judge.each(["claim"], _tells_what_is_so)
    judge.each(_undone("claim", "cancelled"), _does_it_again)


def task_3(judge: Judge) -> None:
    judge.compare(st.lists(st.sampled_from(BEHAVIOURS), min_size=1, max_size=3).map(tuple), _runs, 50)
    judge.each([CANCELLED, TIME_IS_UP], _stays_with_its_handler)


def task_4(judge: Judge) -> None:
    judge.compare(st.tuples(st.sampled_from(ATTEMPTS), st.sampled_from(LIMITS)), _delays, examples=80)
    judge.compare(st.just((10.0, 100.0)), _two_draw)


def _two_draw(side: Side, case: tuple[float, float]) -> Iterator[Seen]:
    """What two processes draw first: jobs that failed together in two of them must not come back together."""
    drawn = []
    for number in (1, 2):
        code = side.code.in_another_process(number)
        drawn.append([code.backoff_delay(attempt, *case) for attempt in range(1, 11)])
    what = f"the first ten delays of two processes, of backoff_delay(1 to 10, {case[0]}, {case[1]})"
    yield Seen(what, "the same in both" if drawn[0] == drawn[1] else "others in each")


def task_5(judge: Judge) -> None:
    cases = [(error, *numbers) for error in ERRORS for numbers in NUMBERS]
    judge.compare(st.sampled_from(cases), _decides, examples=2 * len(cases))
    judge.each([("RuntimeError", *given_back) for given_back in ((100, 101), (101, 101))], _decides)


def task_6(judge: Judge) -> None:
    with _clock_ahead(judge, "finish"):
        judge.compare(_endings(FATES), _finishes, examples=45)
    judge.compare(st.sampled_from(ONE_ENDING), _finishes, examples=2 * len(ONE_ENDING))
    judge.compare(_rivals(("retry", "cancelled"), "running"), _finish_beside_a_rival, examples=6)
    judge.each(["finish"], _tells_what_is_so)
    judge.each(["succeeded", "retry"], _finish_whose_reply_is_lost)
    judge.each(_undone("finish", "retry", "cancelled"), _does_it_again)


def task_7(judge: Judge) -> None:
    with _clock_ahead(judge, "pump_retries"):
        judge.compare(_some_rows(), _pumps, examples=40)
    judge.compare(_some_rows(("retry",), least=2), _two_pump, examples=8)
    judge.compare(_rivals(("queued", "cancelled", "retry"), "retry"), _pump_beside_a_rival, examples=12)
    judge.each(["one"], _pushes_what_is_committed)
    judge.each(["pump_retries"], _tells_what_is_so)
    judge.each(_undone("pump_retries", "cancelled"), _does_it_again)
    judge.each(REDIS_FAILS, _pump_without_redis)


def task_11(judge: Judge) -> None:
    with _clock_ahead(judge, "heartbeat"):
        judge.compare(_held(ALL_FATES), _beats, examples=45)
    judge.compare(st.sampled_from(MIXED_UP), _beats, examples=2 * len(MIXED_UP))
    judge.compare(_rivals(("running", "retry", "cancelled"), "running"), _beat_beside_a_rival, examples=10)
    judge.each(_undone("heartbeat", "cancelled"), _does_it_again)


def task_12(judge: Judge) -> None:
    judge.compare(_endings(ALL_FATES), _finishes, examples=45)
    judge.compare(_rivals(("running", "retry"), "running"), _finish_beside_a_rival, examples=8)


def task_13(judge: Judge) -> None:
    with _clock_ahead(judge, "reap"):
        judge.compare(_some_rows(), _reaps, examples=45)
    judge.compare(_some_rows(("running",), least=2), _two_reap, examples=8)
    judge.compare(_rivals(("running", "cancelled"), "running"), _reap_beside_a_rival, examples=8)
    judge.each(["reap"], _tells_what_is_so)
    judge.each([tuple(_over(row) for row in MANY_ATTEMPTS.rows)], _reaps)
    judge.each(_undone("reap", "running"), _does_it_again)


def task_15(judge: Judge) -> None:
    with _clock_ahead(judge, "give_back"):
        judge.compare(_held(ALL_FATES), _gives_back, examples=45)
    judge.compare(st.sampled_from(MIXED_UP), _gives_back, examples=2 * len(MIXED_UP))
    judge.compare(_rivals(("running", "retry", "cancelled"), "running"), _give_back_beside_a_rival, 10)
    judge.each(["give_back"], _tells_what_is_so)
    judge.each([MANY_ATTEMPTS], _gives_back)
    judge.each(_undone("give_back", "cancelled"), _does_it_again)
    drain(judge)


# -- rows of every kind


@dataclass(frozen=True)
class Kept(Row):
    """A row whose columns all differ."""

    @property
    def attempts(self) -> int:
        return int(self.columns["attempts"])

    @property
    def is_over(self) -> bool:
        """Whether its lease is."""
        until = self.columns["lease_expires_at"]
        return until is not None and bool(until < FAR)

    def __repr__(self) -> str:
        over = {"next_run_at": "due", "lease_expires_at": "the lease is over"}
        said = [words for name, words in over.items() if self.columns[name] and self.columns[name] < FAR]
        number = f"attempts {self.attempts} of {self.columns['max_attempts']}"
        return f"{self.name} ({', '.join([self.status, number, *said])})"


def _row(
    number: int,
    status: str,
    attempts: int = 1,
    most: int = 3,
    over: bool = False,
    type: str = "noop",
    priority: str = "default",
    version: int = 4,
    last_error: str | None = None,
    worker: str = WORKERS[0],
) -> Kept:
    """A row as the constraints allow it. Each of its times is another one."""

    def at(hours: int) -> datetime:
        return odd.NOON + timedelta(days=number, hours=hours, microseconds=number * 7 + hours)

    status_of = Status(status)
    running, retry = status_of is Status.RUNNING, status_of is Status.RETRY
    columns: dict[str, Any] = {
        "attempts": max(attempts, 1) if running else attempts,
        "max_attempts": most,
        "version": version,
        "last_error": last_error,
        "worker": worker if running else None,
        "payload": json.dumps({"note": f"it's number {number}: 100%"}),
        "idempotency_key": f"key {number}",
        "created_at": at(0),
        "updated_at": at(1),
        "queued_at": at(2),
        "pushed_at": at(3) if status_of is Status.QUEUED else None,
        "started_at": at(4) if running or attempts else None,
        "finished_at": at(5) if status_of.is_terminal else None,
        "next_run_at": (at(6) if over else FAR) if retry else None,
        "lease_expires_at": (at(7) if over else FAR) if running else None,
    }
    return Kept(f"job {number}", odd.task_id(number), status, type, priority, columns)


def _unnumbered(statuses: Sequence[str]) -> SearchStrategy[dict[str, Any]]:
    """What a row is made of, but its number: a list of these gets shorter as a whole."""
    return st.fixed_dictionaries(
        {
            "status": st.sampled_from(statuses),
            "attempts": st.integers(0, 4),
            "most": st.integers(1, 4),
            "over": st.booleans(),
            "type": odd.types(),
            "priority": st.sampled_from([str(one) for one in Priority]),
            "version": st.integers(1, 9),
            "last_error": st.sampled_from(LAST_ERRORS),
            "worker": st.sampled_from(WORKERS),
        }
    )


def _rows(statuses: Sequence[str], least: int = 1, most: int = 4) -> SearchStrategy[tuple[Kept, ...]]:
    return st.lists(_unnumbered(statuses), min_size=least, max_size=most).map(_numbered)


def _numbered(some: Sequence[Mapping[str, Any]]) -> tuple[Kept, ...]:
    return tuple(_row(number, **columns) for number, columns in enumerate(some, 1))


ALL_STATUSES = [str(status) for status in Status]


def _some_rows(statuses: Sequence[str] = (), least: int = 0) -> SearchStrategy[tuple[Kept, ...]]:
    """Rows of all states; most of them of those that a duty looks for."""
    return _rows(statuses or [*ALL_STATUSES, "retry", "retry", "running", "running"], least, 5)


def _insert(side: Side, rows: Sequence[Kept]) -> dict[str, Job]:
    """The rows, and some of those of the attempts that they had before: the jobs as they stand now."""
    side.insert(*rows)
    side.world.sql(
        "INSERT INTO task_attempts SELECT task_id, n, %s + n * interval '1 day', %s + n * interval '2 days', false, "
        "'attempt ' || n FROM unnest(%s::uuid[], %s::int[]) AS row (task_id, ended), generate_series(1, ended, 2) AS n",
        odd.NOON,
        odd.NOON,
        [row.task_id for row in rows],
        [row.attempts - (row.status == "running") for row in rows],
    )
    jobs = {job.task_id: job for job in map(Job.from_row, side.world.sql("SELECT * FROM tasks"))}
    return {row.name: jobs[row.task_id] for row in rows}


def _job(side: Side, task_id: UUID) -> Job:
    job = side.world.row(task_id)
    assert job is not None
    return job


def _where(rows: Sequence[Row]) -> str:
    return f"where there {'is' if len(rows) == 1 else 'are'} {', '.join(map(repr, rows)) or 'no job'}"


def _after(side: Side, what: str, open_texts: bool = False) -> Iterator[Seen]:
    """All that stands in the tables and in Redis. A new name is any name; a text whose words are open, any text."""
    rows = side.rows().value
    yield Seen(f"{what}: in tasks", {row["task_id"]: _blurred(row, open_texts) for row in rows})
    attempts = side.rows("task_attempts").value
    told = {f"attempt {row['attempt']} of {row['task_id']}": _blurred(row, open_texts) for row in attempts}
    yield Seen(f"{what}: in task_attempts", dict(sorted(told.items())))
    queues = {key: sorted(value) for key, value in side.redis().value.items() if key.startswith("q:")}
    yield Seen(f"{what}: in Redis", queues)


def _blurred(row: Mapping[str, Any], open_texts: bool = False) -> dict[str, Any]:
    row = dict(row)
    if isinstance(row.get("worker"), str) and row["worker"] and row["worker"] not in WORKERS:
        row["worker"] = "a name"
    for column in ("last_error", "error"):
        text = row.get(column)
        known = text in LAST_ERRORS[:2] or str(text).startswith("attempt ")
        if open_texts and isinstance(text, str) and text and not known:
            row[column] = "a text of its own"
    return row


def _answered(what: str, jobs: Any) -> Iterator[Seen]:
    """Whose jobs they are, and then all about them."""
    yield Seen(f"{what}: the jobs of the answer", list(jobs) if isinstance(jobs, dict) else jobs)
    yield Seen(f"{what}: the answer", jobs)


def _knows_the_lease(side: Side) -> None:
    lease = side.world.settings.lease_seconds
    side.offsets["now + the lease"] = timedelta(seconds=lease)
    for whole in {math.floor(lease), math.ceil(lease)} - {lease}:
        side.offsets[f"now + {whole} s, where the lease is {lease:g} s"] = timedelta(seconds=whole)


def _jobs(side: Side, answer: Any, without: Sequence[str] = ()) -> Any:
    """What a piece answers that returns jobs, by their names; anything else as it is."""
    if not isinstance(answer, list) or not all(isinstance(job, Job) for job in answer):
        return side.plain(answer)
    told = sorted((_blurred(side.plain(job)) for job in answer), key=lambda job: str(job["task_id"]))
    names = [str(job["task_id"]) for job in told]
    if len(set(names)) < len(names):
        return f"the jobs {', '.join(names)}"
    return {str(job["task_id"]): {k: v for k, v in job.items() if k not in without} for job in told}


# -- task 1

NO_ENTRIES = (
    b"not JSON",
    b"{}",
    b"[1]",
    b"\xff",
    b"",
    b"null",
    b'"x"',
    b"7",
    b'{"task_id": 7, "type": "noop", "priority": "low"}',
    b'{"task_id": "x", "type": "noop", "priority": "low"}',
    b'{"task_id": "6ba7b812-9dad-11d1-80b4-00c04fd430c8", "type": "noop", "priority": "urgent"}',
    b'{"task_id": "6ba7b812-9dad-11d1-80b4-00c04fd430c8", "type": "noop"}',
    b"[" * 5_000,
)


@dataclass(frozen=True)
class Queues:
    """What lies in the queues, the oldest first, and how many each take may bring. The last of all is a right entry."""

    values: tuple[tuple[str, str | bytes], ...]
    limits: tuple[int, ...]

    def __repr__(self) -> str:
        lie = ", ".join(f"{value[:40]!r} in q:{priority}" for priority, value in self.values)
        return (
            f"take(app, {' and then '.join(map(str, self.limits))}), where there lie, the oldest first, {lie}"
        )


@st.composite
def _queues(draw: st.DrawFn) -> Queues:
    priorities = draw(st.lists(st.sampled_from([str(one) for one in Priority]), max_size=6))
    values: list[tuple[str, str | bytes]] = [
        (one, draw(st.sampled_from(NO_ENTRIES) | odd.types())) for one in priorities
    ]
    return Queues(
        (*values, ("low", "noop")), tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=2)))
    )


def _entry(side: Side, number: int, type: str, priority: str) -> tuple[Entry, bytes]:
    entry = Entry(odd.task_id(number), type, Priority(priority))
    side.knows(entry.task_id, f"job {number}")
    fields = {"task_id": str(entry.task_id), "type": type, "priority": priority}
    return entry, json.dumps(fields, separators=(",", ":")).encode()


def _takes(side: Side, case: Queues) -> Iterator[Seen]:
    """All that is there, in as many takes as it needs: whatever each brings, together they bring the same."""
    for number, (priority, value) in enumerate(case.values, 1):
        raw = value if isinstance(value, bytes) else _entry(side, number, value, priority)[1]
        side.world.redis.lpush(f"q:{priority}", raw)
    most = len(case.values) + 2
    got: list[Any] = []
    problem = "lists of Entry, none longer than its limit, until nothing is left"
    for turn in range(most):
        if not side.world.redis.keys("q:*"):
            break
        limit = case.limits[turn % len(case.limits)]
        answer = side.run("take", limit)
        if not isinstance(answer, list) or not all(isinstance(one, Entry) for one in answer):
            problem = f"{answer!r}"
            break
        if len(answer) > limit:
            problem = f"{len(answer)} entries, with a limit of {limit}"
            break
        got += answer
    else:
        problem = f"something lies there still, after {most} takes"
    yield Seen(f"{case}: what each take answers", problem)
    yield Seen(f"{case}: the entries that all takes have given", side.plain(got))


def _urgent_comes_in(side: Side, priority: Priority) -> Iterator[Seen]:
    for number in (1, 2, 3):
        side.world.redis.lpush(f"q:{priority}", _entry(side, number, "noop", priority)[1])
    first = side.run("take", 1)
    _, raw = _entry(side, 9, "noop", "critical")
    side.world.redis.lpush("q:critical", raw)
    second = side.run("take", 1)
    what = f"after take(app, 1) of three {priority} entries and the push of a critical one, take(app, 1)"
    yield Seen(f"take(app, 1) of three {priority} entries", side.plain(first))
    yield Seen(what, side.plain(second))


def _pop_under_way(side: Side, case: str) -> Iterator[Seen]:
    """Redis takes its time, and the clock goes on: whoever cancels a pop after a second does it now."""
    world, popping, cancelled = side.world, [], []
    over = world.event()
    client: Any = world.app.queue.blocking
    ordinary = client.execute_command

    async def slow(*args: Any, **options: Any) -> Any:
        popping.append(args)
        try:
            await over.wait()
        except asyncio.CancelledError:
            cancelled.append(args)
            raise
        return await ordinary(*args, **options)

    _, raw = _entry(side, 1, "noop", "high")
    client.execute_command = slow
    try:
        running = side.start("take", 1)
        world.until(lambda: popping or running.done, "take popped")
        world.redis.lpush("q:high", raw)
        world.jump(2)
    finally:
        client.execute_command = ordinary
        world.let_go(over)
    answer = running.result()
    if isinstance(answer, list) and not answer:  # it may have kept the pop for the next take
        answer = side.run("take", 1)
    what = "take(app, 1), of which Redis answers the pop after two seconds by the clock of the event loop: "
    yield Seen(
        f"{what}the pop", "was cancelled, and Redis may have handed an entry out" if cancelled else "goes on"
    )
    yield Seen(f"{what}the entries, those of the next take included", side.plain(answer))


def _pop_that_waits(side: Side, case: str) -> Iterator[Seen]:
    """A client without await holds the loop up for as long as the pop waits. Whoever looks now and then is not seen."""
    goes_on = any(_goes_on_beside_a_pop(side) for _ in range(LOOKS))
    yield Seen("while take waits for an entry, the event loop", "goes on" if goes_on else "stands still")


def _goes_on_beside_a_pop(side: Side) -> bool:
    world, running = side.world, side.start("take", 1)
    looks: list[bool] = []

    def ends_or_pops() -> bool:
        looks.append(world.loop.line() is None)
        return running.done or bool(world.waiting_pops())

    world.until(ends_or_pops, "take popped")
    waited = not running.done
    world.turns()
    goes_on = not waited or not running.done
    world.end_waiting_pops()
    running.result()
    # Who polls is in a line of its own when it sleeps there without await, and in none when it awaits.
    return goes_on and (len(looks) < ENOUGH_LOOKS or 2 * sum(looks) > len(looks))


ENOUGH_LOOKS = 20
LOOKS = 3
"""A machine may sleep for as long as a pop waits, once."""


def _entry_in_its_hand(side: Side, case: str) -> Iterator[Seen]:
    """One entry is there, and take may bring five: whoever sleeps when it has it lets its job wait."""
    world = side.world
    _, raw = _entry(side, 1, "noop", "high")
    world.redis.lpush("q:high", raw)
    slept: list[float] = []

    def hear(seconds: float) -> None:
        if not world.redis.exists("q:high"):
            slept.append(seconds)

    loop = world.run(lambda app: asyncio.get_running_loop())
    with heard(loop, side.code.files, hear):
        answer = side.run("take", 5)
    what = "take(app, 5), where there is one entry"
    yield Seen(what, side.plain(answer))
    yield Seen(f"{what}: what it does when it has popped it", f"waits {slept[0]:g} s" if slept else "answers")


# -- task 2


@dataclass(frozen=True)
class Claims:
    """Rows, the numbers of the entries (beyond the rows: of an unknown job), and who changes what meanwhile."""

    rows: tuple[Kept, ...]
    entries: tuple[int, ...]
    changes: tuple[tuple[int, str], ...] = ()
    alike: bool = True
    """Whether the entries say of type and priority what the rows say."""

    def __repr__(self) -> str:
        some = ", ".join(f"job {number}" for number in self.entries)
        return f"claim of entries of [{some}], {_where(self.rows)}"


@st.composite
def _claims(draw: st.DrawFn, most_changes: int = 2) -> Claims:
    rows = draw(_rows([*ALL_STATUSES, *["queued"] * 7]))
    entries = draw(st.lists(st.integers(1, len(rows) + 1), max_size=6))
    change = st.tuples(st.integers(1, len(rows)), st.sampled_from(["queued", "queued", "cancelled"]))
    changes = draw(st.lists(change, max_size=most_changes))
    return Claims(rows, tuple(entries), tuple(changes), draw(st.booleans()))


BESIDE_OTHERS = [
    Claims((_row(1, "running", 3, 9), _row(2, "queued", 1, 5)), (2,)),
    Claims((_row(1, "retry", 3, 9), _row(2, "queued", 0, 5), _row(3, "queued", 2, 4)), (2, 1)),
    Claims((_row(1, "queued", 2, 9), _row(2, "running", 1, 2, over=True), _row(3, "queued", 0, 1)), (3, 1)),
]
"""Whatever a claim takes over from a row that is none of its own differs from what is right."""


def _entries(side: Side, case: Claims) -> list[Entry]:
    entries = []
    for number in case.entries:
        row = case.rows[number - 1] if number <= len(case.rows) else None
        type, priority = (row.type, row.priority) if row and case.alike else ("sleep", "low")
        entries.append(_entry(side, number, type, priority)[0])
    return entries


def _claims_twice(side: Side, case: Claims) -> Iterator[Seen]:
    """Somebody else changes some rows after the first claim; and the same entries come once more."""
    _knows_the_lease(side)
    _insert(side, case.rows)
    first = _jobs(side, side.run("claim", _entries(side, case)))
    seen = [*_answered(str(case), first), *_after(side, f"after {case}")]
    for number, status in case.changes:
        side.change(case.rows[number - 1], status)
    changed = " and ".join(f"job {number} becomes {status}" for number, status in case.changes)
    again = f"{case}, once more{f' after {changed}' if changed else ''}"
    second = _jobs(side, side.run("claim", _entries(side, case)))
    yield from [*seen, *_answered(again, second), *_after(side, f"after {again}")]


def _two_claim(side: Side, case: Claims) -> Iterator[Seen]:
    _knows_the_lease(side)
    _insert(side, case.rows)
    running = [side.start("claim", _entries(side, case), process=process) for process in (0, 1)]
    answers = [one.result() for one in running]
    both = [job for answer in answers if isinstance(answer, list) for job in answer]
    what = f"two processes at once, {case}, taken together"
    yield from _answered(what, _jobs(side, both))
    yield from _after(side, f"after {what}")


# -- a rival who holds a row


@dataclass(frozen=True)
class Rival:
    """Rows, and what somebody else makes of the first one, in a transaction that is open when the piece begins."""

    rows: tuple[Kept, ...]
    makes: str

    def __repr__(self) -> str:
        due = " (due in a minute)" if self.makes == "retry" else ""
        return f"{_where(self.rows)}, and somebody makes the first one {self.makes}{due} meanwhile"


def _rivals(makes: Sequence[str], status: str = "queued") -> SearchStrategy[Rival]:
    rows = _rows([status], 1, 3).map(lambda some: tuple(_over(row) for row in some))
    return st.builds(Rival, rows, st.sampled_from(list(makes)))


def _over(row: Kept) -> Kept:
    over = {name: odd.NOON for name in ("next_run_at", "lease_expires_at") if row.columns[name]}
    return replace(row, columns={**row.columns, **over})


def _raced(side: Side, case: Rival, piece: str, arguments: Callable[[dict[str, Job]], list[Any]]) -> Any:
    """What the piece answers that begins while the rival's change is not committed, and ends after it."""
    _knows_the_lease(side)
    jobs = _insert(side, case.rows)
    first = jobs[case.rows[0].name]
    columns = {"attempts": first.attempts + 1, "worker": WORKERS[0]} if case.makes == "running" else {}
    with side.world.locked(first, case.makes, **columns) as lock:
        running = side.start(piece, *arguments(jobs))
        lock.wait_for(running)
        side.world.turns()  # whoever waits for the database without await holds the loop up
        lock.commit()
        return running.result()


def _claim_beside_a_rival(side: Side, case: Rival) -> Iterator[Seen]:
    def entries(jobs: dict[str, Job]) -> list[Any]:
        return [[Entry(job.task_id, job.type, job.priority) for job in jobs.values()]]

    answer = _jobs(side, _raced(side, case, "claim", entries))
    yield from _answered(f"claim of all, {case}", answer)
    yield from _after(side, f"after a claim of all, {case}")


def _pump_beside_a_rival(side: Side, case: Rival) -> Iterator[Seen]:
    number = _raced(side, case, "pump_retries", lambda jobs: [])
    yield Seen(f"pump_retries, {case}: the answer, and that of the next", _sum(side, "pump_retries", number))
    yield from _after(side, f"after pump_retries, {case}")


def _reap_beside_a_rival(side: Side, case: Rival) -> Iterator[Seen]:
    number = _raced(side, case, "reap", lambda jobs: [])
    yield Seen(f"reap, {case}: the answer, and that of the next", _sum(side, "reap", number))
    yield from _after(side, f"after reap, {case}", open_texts=True)


def _finish_beside_a_rival(side: Side, case: Rival) -> Iterator[Seen]:
    def arguments(jobs: dict[str, Job]) -> list[Any]:
        return [jobs[case.rows[0].name], side.code.Outcome(Status.RETRY, "RuntimeError: no luck", 100.0)]

    side.offsets["now + 100 s"] = timedelta(seconds=100)
    answer = _raced(side, case, "finish", arguments)
    yield Seen(f"finish of the first as a retry, {case}: the answer", side.plain(answer))
    yield from _after(side, f"after a finish of the first as a retry, {case}")


def _beat_beside_a_rival(side: Side, case: Rival) -> Iterator[Seen]:
    answer = _raced(side, case, "heartbeat", lambda jobs: [list(jobs.values())])
    yield Seen(f"heartbeat of all, {case}: the answer", _ids(side, answer))
    yield from _after(side, f"after a heartbeat of all, {case}")


def _give_back_beside_a_rival(side: Side, case: Rival) -> Iterator[Seen]:
    answer = _raced(side, case, "give_back", lambda jobs: [list(jobs.values())])
    yield from _answered(f"give_back of all, {case}", _jobs(side, answer, without=["payload_json"]))
    yield from _after(side, f"after give_back of all, {case}")


# -- task 3


class NoSuchAddress(PermanentError):
    """A handler's own kind of what no retry mends."""


class Falsy(Exception):
    """An error that is false, as an empty collection is."""

    def __len__(self) -> int:
        return 0


class Unspeakable(Exception):
    """An error whose text can't be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


RAISED: Mapping[str, Callable[[], Exception]] = {
    "RuntimeError": lambda: RuntimeError("no luck"),
    "KeyError": lambda: KeyError("name"),
    "OSError": lambda: OSError(2, "no such file"),
    "PermanentError": lambda: PermanentError("no such address"),
    "a subclass of PermanentError": lambda: NoSuchAddress("no such address"),
    "an error that is false": Falsy,
    "an error whose text can't be had": Unspeakable,
    "an ExceptionGroup": lambda: ExceptionGroup("two", [ValueError("one"), PermanentError("two")]),
    "TimeoutError": lambda: TimeoutError("a server did not answer"),
}
RETURNED: Mapping[str, Any] = {
    "None": None,
    "a text": "done",
    "False": False,
    "an exception": RuntimeError("only returned"),
}
HALF, LATE, UNTIDY, UNKNOWN = (
    "waits for half of its time, and returns",
    "waits for ever",
    "waits for ever, and raises when it is cancelled",
    "has no handler",
)
BEHAVIOURS = (
    *(f"returns {what}" for what in RETURNED),
    *(f"raises {what}" for what in RAISED),
    *(f"is no coroutine, and returns {what}" for what in RETURNED),
    *(f"is no coroutine, and raises {what}" for what in RAISED),
    HALF,
    LATE,
    UNTIDY,
    UNKNOWN,
)
_handled: "WeakKeyDictionary[World, dict[UUID, Any]]" = WeakKeyDictionary()


@dataclass
class Handled:
    """One job whose handler behaves in a certain way, and what is known of it."""

    name: str
    behaviour: str
    job: Job
    gate: Any
    error: Exception | None = None
    got: list[Job] = field(default_factory=list)
    ended: bool = True

    def plain(self, job: Job) -> Any:
        self.got.append(job)
        if self.error is not None:
            raise self.error
        return RETURNED[self.behaviour.partition("returns ")[2]]

    async def handler(self, job: Job) -> Any:
        if self.behaviour not in (HALF, LATE, UNTIDY):
            return self.plain(job)
        self.got.append(job)
        self.ended = False
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            if self.behaviour == UNTIDY:
                raise ValueError("in the middle of it") from None
            raise
        finally:
            self.ended = True

    def told(self, answer: Any) -> Any:
        """What the worker can see of it: which kind of error came back."""
        if answer is None or not isinstance(answer, Exception):
            return answer
        if answer is self.error:
            return "the handler's own error"
        if self.error is not None and isinstance(answer, type(self.error)):
            return f"another {type(answer).__name__}, and nobody knows what the handler said"
        return "a PermanentError" if isinstance(answer, PermanentError) else "an exception"


def _runs(side: Side, case: tuple[str, ...]) -> Iterator[Seen]:
    """Some handlers at once. The clock of the loop goes on by a little more than half of their time, twice."""
    world = side.world
    all_of_them = _handlers(world)
    jobs = []
    for number, behaviour in enumerate(case, 1):
        type = "nobody knows it" if behaviour == UNKNOWN else _type(behaviour)
        _insert(side, [_row(number, "running", 2, type=type)])
        one = Handled(f"job {number}", behaviour, _job(side, odd.task_id(number)), world.event())
        if "raises " in behaviour and behaviour != UNTIDY:
            one.error = RAISED[behaviour.partition("raises ")[2]]()
        all_of_them[one.job.task_id] = one
        jobs.append(one)
    running = [side.start("run_handler", one.job) for one in jobs]
    world.until(
        lambda: all(one.got or each.done for one, each in zip(jobs, running, strict=True)), "the handlers ran"
    )
    half = 0.6 * world.settings.handler_timeout_seconds
    if {HALF, LATE, UNTIDY} & set(case):
        world.jump(half)
        for one, each in zip(jobs, running, strict=True):
            if one.behaviour == HALF:
                world.let_go(one.gate)
                each.result()
        world.jump(half)
    answers = [each.result() for each in running]
    ended = {one.name: "has ended" if one.ended else "still runs" for one in jobs}
    for one in jobs:
        world.let_go(one.gate)
    for one, answer in zip(jobs, answers, strict=True):
        beside = f", beside {len(case) - 1} others" if len(case) > 1 else ""
        yield Seen(f"run_handler, of a handler that {one.behaviour}{beside}", one.told(answer))
        yield Seen(
            f"how often a handler that {one.behaviour} ran, and with its job",
            (len(one.got), all(job == one.job for job in one.got)),
        )
        yield Seen(f"when run_handler has returned, a handler that {one.behaviour}", ended[one.name])
    yield from _after(side, f"after run_handler, of handlers that {' and '.join(case)}")


CANCELLED, TIME_IS_UP = "run_handler is cancelled", "its time is up"


@dataclass
class Tidying:
    """A handler that tidies up when it is cancelled, until it is told to end."""

    gate: Any
    told: list[str] = field(default_factory=list)

    async def handler(self, job: Job) -> None:
        self.told.append("goes on")
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.told.append("was cancelled")
            await self.gate.wait()
            raise


def _stays_with_its_handler(side: Side, how: str) -> Iterator[Seen]:
    """The handler is cancelled, and run_handler does not end before it: who waits for the one waits for both."""
    world, tasks = side.world, []
    handlers = _handlers(world)
    _insert(side, [_row(1, "running", 2, type="async")])
    job, one = _job(side, odd.task_id(1)), Tidying(world.event())
    handlers[job.task_id] = one

    async def work(app: Any) -> Any:
        task = asyncio.create_task(side.code.run_handler(app, job))
        tasks.append(task)
        await asyncio.wait({task})
        return "is cancelled" if task.cancelled() else task.result()

    running = world.start(work)
    world.until(lambda: one.told or running.done, "the handler ran")
    if how == CANCELLED:
        world.run(lambda app: tasks[0].cancel() and None)
    else:
        world.jump(1.2 * world.settings.handler_timeout_seconds)
    world.turns(30)
    at_once = "has ended" if running.done else "waits for it"
    handler = one.told[-1] if one.told else "never ran"
    world.let_go(one.gate)
    answer = running.result()
    what = f"when {how} while a handler waits"
    yield Seen(f"{what}: the handler", handler)
    yield Seen(f"{what}, and the handler tidies up: run_handler, until that is done", at_once)
    yield Seen(f"{what}: run_handler", "returns an exception" if isinstance(answer, Exception) else answer)


def _type(behaviour: str) -> str:
    return "plain" if behaviour.startswith("is no coroutine") else "async"


def _handlers(world: World) -> dict[UUID, Any]:
    """What handles which job. The registry knows one handler for all, for it takes no second of a type."""
    if world in _handled:
        return _handled[world]
    known: dict[UUID, Any] = {}
    _handled[world] = known

    async def handler(app: Any, job: Job) -> Any:
        return await known[job.task_id].handler(job)

    def plain(app: Any, job: Job) -> Any:
        return known[job.task_id].plain(job)

    world.handler("async", handler)
    world.handler("plain", plain)
    return known


# -- task 4

ATTEMPTS = (*range(1, 9), 12, 31, 32, 33, 34, 63, 64, 65, 100, 1_024, 1_100, 100_000)
LIMITS = ((10, 100), (10.0, 100.0), (1, 300), (0.5, 3_600.0), (200, 100), (7, 7), (3.0, 1_000_000_000.0))


def _delays(side: Side, case: tuple[int, tuple[float, float]]) -> Iterator[Seen]:
    """Where many delays lie, in tenths of the limit. No right answer is ever so far off by chance."""
    attempt, (base, cap) = case
    number = 2_000 if attempt < 2_000 else 100
    limit = float(min(cap, base * 2 ** min(attempt - 1, 60)))
    some = [side.code.backoff_delay(attempt, base, cap) for _ in range(number)]
    what = f"of {number} delays of backoff_delay({attempt}, {base}, {cap}), whose limit is {limit:g}"
    numbers = all(isinstance(one, int | float) and math.isfinite(one) for one in some)
    yield Seen(f"{what}: each is a number", numbers)
    yield Seen(f"{what}: how many are below zero", sum(one < 0 for one in some))
    yield Seen(f"{what}: how many are above the limit", sum(one > limit * (1 + 1e-9) for one in some))
    at_the_limit = sum(one == limit for one in some)
    # Delays that are rounded meet the limit now and then.
    few = at_the_limit <= number // 20
    yield Seen(f"{what}: how many are the limit itself", "hardly any" if few else at_the_limit)
    if number < 2_000:
        return
    for tenth in range(10):
        share = sum(tenth <= one / limit * 10 < tenth + 1 for one in some) / number
        fair = "about a tenth" if 0.03 < share < 0.17 else "none" if not share else f"{share:.0%}"
        yield Seen(f"{what}: the share from {tenth * limit / 10:g} to {(tenth + 1) * limit / 10:g}", fair)


# -- task 5

NUMBERS = ((1, 3), (2, 3), (3, 3), (4, 3), (1, 1), (99, 100), (5, 6))
ERRORS: tuple[str, ...] = (
    "None",
    *RAISED,
    "an error without a text",
    "an error with a zero byte",
    "an error with half of a pair",
    "an error of 100,000 characters",
    "an error with quotes",
)
MORE_ERRORS: Mapping[str, Callable[[], Exception]] = {
    "an error without a text": RuntimeError,
    "an error with a zero byte": lambda: ValueError("a\0b"),
    "an error with half of a pair": lambda: ValueError("a\ud800b"),
    "an error of 100,000 characters": lambda: ValueError("x" * 100_000),
    "an error with quotes": lambda: ValueError("it's \"100%\" 'so' {0} %s \\ 日本"),
}
ODD_TEXTS = {"an ExceptionGroup", *list(MORE_ERRORS)[:4], "an error whose text can't be had", "KeyError"}


def _decides(side: Side, case: tuple[str, int, int]) -> Iterator[Seen]:
    kind, attempts, most = case
    error = None if kind == "None" else {**RAISED, **MORE_ERRORS}[kind]()
    fields: dict[str, Any] = dict.fromkeys(Job.__dataclass_fields__)
    fields |= {"task_id": odd.task_id(1), "type": "noop", "priority": Priority.DEFAULT, "payload_json": "{}"}
    fields |= {"status": Status.RUNNING, "attempts": attempts, "max_attempts": most, "version": 2}
    outcome = side.code.decide(Job(**fields), error)
    what = f"decide, after attempt {attempts} of {most} and {'no error' if error is None else kind}"
    yield Seen(f"{what}: the status", side.plain(getattr(outcome, "status", outcome)))
    yield Seen(f"{what}: the delay", float(getattr(outcome, "delay", -1)))
    yield Seen(f"{what}: the error", _told_error(getattr(outcome, "error", None), kind, error))


def _told_error(text: Any, kind: str, error: Exception | None) -> Any:
    """Its words are open. It says what the error says, and the database can hold it."""
    if not isinstance(text, str):
        return text
    if not text:
        return "an empty text"
    if "\0" in text or text.encode("utf-8", "replace").decode() != text:
        return f"a text that the database can't hold: {text[:60]!r}"
    if kind not in ODD_TEXTS and str(error) not in text:
        return text
    return "a text for people"


# -- what a worker holds: tasks 6, 11, 12 and 15

FATES = {
    "still runs": "running",
    "still runs, and its lease is over": "running",
    "was cancelled": "cancelled",
    "was reaped": "retry",
    "is queued again": "queued",
    "is a dead letter": "deadletter",
    "has succeeded": "succeeded",
    "is gone": "",
}
AGAIN = "runs again in a later attempt, under the same worker's name"
ALL_FATES = {**FATES, AGAIN: "running"}


@dataclass(frozen=True)
class Held:
    """Jobs that a worker has claimed, and what became of each since."""

    rows: tuple[Kept, ...]
    fates: tuple[str, ...]
    times: int = 1

    def __repr__(self) -> str:
        pairs = zip(self.rows, self.fates, strict=True)
        over = "still runs, and its lease is over"
        some = [
            f"{row.name} (held in attempt {row.attempts}) {over if fate == 'still runs' and row.is_over else fate}"
            for row, fate in pairs
        ]
        return f"{', '.join(some) or 'no job'}{', each asked for twice' if self.times > 1 else ''}"


def _fates(known: Mapping[str, str]) -> SearchStrategy[str]:
    return st.sampled_from([*known, "still runs", "still runs", list(known)[-1]])


def _held(known: Mapping[str, str]) -> SearchStrategy[Held]:
    one = st.tuples(_unnumbered(["running"]), _fates(known))
    return st.builds(
        lambda some, times: Held(_numbered([row for row, _ in some]), tuple(fate for _, fate in some), times),
        st.lists(one, max_size=4),
        st.sampled_from([1, 1, 1, 2]),
    )


def _mixed_up(*held: tuple[int, str]) -> Held:
    rows = tuple(_row(number, "running", attempts, 9) for number, (attempts, _) in enumerate(held, 1))
    return Held(rows, tuple(fate for _, fate in held))


MIXED_UP = [
    _mixed_up((1, AGAIN), (2, "still runs")),
    _mixed_up((2, "still runs"), (1, AGAIN)),
    _mixed_up((2, AGAIN), (3, AGAIN), (4, "still runs")),
    _mixed_up((1, AGAIN), (2, AGAIN), (3, "was cancelled")),
]
"""One list of ids and one of attempts, each looked into by itself, takes these for alive."""

MANY_ATTEMPTS = Held(
    tuple(
        _row(number, "running", attempts, most)
        for number, (attempts, most) in enumerate([(1, 99), (100, 100), (100, 101), (101, 101)], 1)
    ),
    ("still runs",) * 4,
)
"""100 is the most that a client may submit. Who is given back has more."""


def _claimed(side: Side, rows: Sequence[Kept], fates: Sequence[str]) -> list[Job]:
    """The jobs as their worker knows them, and in the table what became of them since."""
    _knows_the_lease(side)
    jobs = _insert(side, rows)
    for row, fate in zip(rows, fates, strict=True):
        job = jobs[row.name]
        match fate:
            case "still runs":
                pass
            case "still runs, and its lease is over":
                side.world.sql(
                    "UPDATE tasks SET lease_expires_at = %s WHERE task_id = %s", odd.NOON, job.task_id
                )
            case "is gone":
                side.world.sql("DELETE FROM tasks WHERE task_id = %s", job.task_id)
            case _ if fate == AGAIN:
                side.change(row, "running", attempts=job.attempts + 1, worker=job.worker)
            case _:  # with an error that no ending has: whether one that was written is written again is open
                side.change(row, ALL_FATES[fate], last_error="somebody else's")
    return list(jobs.values())


def _ids(side: Side, answer: Any) -> Any:
    """A set of ids, as names in their order; anything else as it is."""
    if not isinstance(answer, Set):
        return side.plain(answer)
    return sorted(str(side.plain(one)) for one in answer)


def _beats(side: Side, case: Held) -> Iterator[Seen]:
    jobs = _claimed(side, case.rows, case.fates)
    answer = side.run("heartbeat", jobs * case.times)
    yield Seen(f"heartbeat, where {case}: the answer", _ids(side, answer))
    yield from _after(side, f"after heartbeat, where {case}")


def _gives_back(side: Side, case: Held) -> Iterator[Seen]:
    jobs = _claimed(side, case.rows, case.fates)
    answer = side.run("give_back", jobs)
    yield from _answered(f"give_back, where {case}", _jobs(side, answer, without=["payload_json"]))
    again = side.run("give_back", jobs)
    yield Seen(f"give_back, once more, where {case}: the answer", _jobs(side, again))
    yield from _after(side, f"after give_back, where {case}")


TEXTS = (
    "RuntimeError: no luck",
    "it's",
    'say "hi"',
    "100% %s %(id)s {0}",
    "back\\slash",
    "', version = 99, last_error = '",
    "日本\ntwo lines",
    "succeeded",
    "x" * 100_000,
)
DELAYS = (0.0, 100, 3_600.75, 86_400.9)


@dataclass(frozen=True)
class Ending:
    """How the attempt that a worker holds ended, as the worker sees it."""

    status: str
    error: str | None
    delay: float

    def __repr__(self) -> str:
        return f"{self.status}{f' with {self.error[:40]!r}' if self.error else ''}, delay {self.delay}"


@dataclass(frozen=True)
class Endings:
    """Attempts that end."""

    held: Held
    endings: tuple[Ending, ...]
    at_once: bool

    def __repr__(self) -> str:
        return f"{self.held}, and they end as {list(self.endings)}{', all at once' if self.at_once else ''}"


def _endings(known: Mapping[str, str]) -> SearchStrategy[Endings]:
    one = st.tuples(_unnumbered(["running"]), _fates(known), _ending())
    return st.builds(
        lambda some, at_once: Endings(
            Held(_numbered([row for row, _, _ in some]), tuple(fate for _, fate, _ in some)),
            tuple(ending for _, _, ending in some),
            at_once,
        ),
        st.lists(one, min_size=1, max_size=4),
        st.booleans(),
    )


ONE_ENDING = [
    Endings(_mixed_up((2, "still runs")), (Ending(status, error, delay),), False)
    for status, error, delay in [
        *[("failed", error, 0.0) for error in (*TEXTS, "", None)],
        *[("retry", TEXTS[0], delay) for delay in DELAYS],
        *[("deadletter", TEXTS[0], delay) for delay in DELAYS[:2]],
    ]
]


def _ending() -> SearchStrategy[Ending]:
    failures = ["retry", "retry", "failed", "deadletter"]
    return st.builds(
        Ending, st.sampled_from(failures), st.sampled_from(TEXTS), st.sampled_from(DELAYS)
    ) | st.builds(Ending, st.just("succeeded"), st.none(), st.sampled_from([0.0, 100]))


def _finishes(side: Side, case: Endings) -> Iterator[Seen]:
    """Each attempt ends, then the one after it, if there is one; and then each once more, otherwise."""
    side.offsets |= {f"now + {delay:g} s": timedelta(seconds=delay) for delay in DELAYS[1:]}
    jobs = _claimed(side, case.held.rows, case.held.fates)
    wanted = [(job, ending) for job, ending in zip(jobs, case.endings, strict=True)]
    newer = [
        (_job(side, job.task_id), ending)
        for (job, ending), fate in zip(wanted, case.held.fates, strict=True)
        if fate == AGAIN
    ]
    others = [(job, Ending("failed", "another ending", 0.0)) for job, _ in wanted]
    answers = [_finish_all(side, some, case.at_once) for some in (wanted, newer, others)]
    what = f"finish, where {case}"
    for words, some, got in zip(
        ("the answer", "the answer for the later attempt", "the answer for another ending, afterwards"),
        (wanted, newer, others),
        answers,
        strict=True,
    ):
        named = {side.plain(job.task_id): one for (job, _), one in zip(some, got, strict=True)}
        yield Seen(f"{what}: {words}", named)
    waits = side.world.sql(
        "SELECT task_id, extract(epoch FROM next_run_at - updated_at)::float8 AS s FROM tasks"
    )
    for (job, ending), answer in zip(wanted, answers[0], strict=True):
        if answer is True and ending.status == "retry":
            [got] = [row["s"] for row in waits if row["task_id"] == job.task_id]
            close = got is not None and abs(got - ending.delay) < 0.5
            yield Seen(
                f"{what}: next_run_at of {side.plain(job.task_id)}, in seconds after updated_at",
                float(ending.delay) if close else got,
            )
    yield from _after(side, f"after {what}")


def _finish_all(side: Side, pairs: Sequence[tuple[Job, Ending]], at_once: bool) -> list[Any]:
    outcomes = [(job, side.code.Outcome(Status(one.status), one.error, one.delay)) for job, one in pairs]
    if at_once:
        running = [side.start("finish", *pair) for pair in outcomes]
        return [side.plain(one.result()) for one in running]
    return [side.plain(side.run("finish", *pair)) for pair in outcomes]


FIRST = {"claim": "queued", "pump_retries": "retry"}
"""What a job is before the piece changes it: running, if it does not stand here."""


def _tells_what_is_so(side: Side, piece: str) -> Iterator[Seen]:
    """Who hears of a change looks at once, and finds it: it is told when it is committed."""
    status = FIRST.get(piece, "running")
    job = _insert(side, [_over(_row(1, status, 2))])["job 1"]
    notes = notes_of(side.world)
    notes.clear()
    match piece:
        case "claim":
            side.run(piece, [Entry(job.task_id, job.type, job.priority)])
        case "finish":
            side.run(piece, job, side.code.Outcome(Status.FAILED, "RuntimeError: no luck"))
        case "give_back":
            side.run(piece, [job])
        case _:
            side.run(piece)
    early = (
        f"it is {status} for everybody but you"
        if status in notes
        else "its row has been changed, for everybody"
    )
    yield Seen(f"when {piece} tells app.hints of a job, and somebody looks at once", early)


def _finish_whose_reply_is_lost(side: Side, status: str) -> Iterator[Seen]:
    """The connection breaks when the database has committed. False would say that nothing was written."""
    job = _insert(side, [_row(1, "running", 2)])["job 1"]
    with _reply_lost(side.world, job):
        try:
            answer = side.run(
                "finish", job, side.code.Outcome(Status(status), None if status == "succeeded" else "E")
            )
        except DatabaseError:
            answer = True  # who does not know may say so
    what = f"finish as {status}, whose connection breaks right after the commit"
    yield Seen(f"{what}: the answer", "False" if answer is False else "True, or the error of the database")
    yield from _after(side, f"after {what}")


@contextmanager
def _reply_lost(world: World, job: Job) -> Iterator[None]:
    db: Any = world.app.db
    ordinary = db._rerun_conflicts
    lost: list[Job] = []

    async def breaks(work: Any) -> Any:
        answer = await ordinary(work)
        [row] = world.sql("SELECT status FROM tasks WHERE task_id = %s", job.task_id)
        if row["status"] != "running" and not lost:
            lost.append(job)
            raise Lost("the connection broke (says this test)")
        return answer

    db._rerun_conflicts = breaks
    try:
        yield
    finally:
        del db._rerun_conflicts


# -- what the database undoes, and runs again


@dataclass(frozen=True)
class Undone:
    """A piece for two jobs. The database undoes what it did, for a conflict, and runs it again."""

    piece: str
    makes: str
    """What somebody has made of the first job in between; nothing if this is empty."""

    def __repr__(self) -> str:
        between = f", and the first became {self.makes} in between" if self.makes else ""
        jobs = "job 1" if self.piece == "finish" else "job 1 and job 2"
        return (
            f"{self.piece}, for {jobs}, where the database undid it for a conflict and ran it again{between}"
        )


def _undone(piece: str, *makes: str) -> list[Undone]:
    return [Undone(piece, one) for one in ("", *makes)]


def _does_it_again(side: Side, case: Undone) -> Iterator[Seen]:
    """What counts is what the second run finds: the first has changed nothing."""
    _knows_the_lease(side)
    side.offsets["now + 100 s"] = timedelta(seconds=100)
    rows = tuple(_over(_row(number, FIRST.get(case.piece, "running"), 2, 9)) for number in (1, 2))
    jobs = list(_insert(side, rows).values())

    def between() -> None:
        if case.makes:
            more = {"attempts": 3, "worker": WORKERS[1]} if case.makes == "running" else {}
            side.change(rows[0], case.makes, **more)

    with _undoes(side.world, between):
        answer = _answer_for(side, case.piece, jobs)
    if isinstance(answer, dict):
        yield from _answered(str(case), answer)
    else:
        yield Seen(f"{case}: the answer", answer)
    yield from _after(side, f"after {case}", open_texts=case.piece == "reap")


def _answer_for(side: Side, piece: str, jobs: list[Job]) -> Any:
    match piece:
        case "claim":
            entries = [Entry(job.task_id, job.type, job.priority) for job in jobs]
            return _jobs(side, side.run(piece, entries))
        case "finish":
            outcome = side.code.Outcome(Status.RETRY, "RuntimeError: no luck", 100.0)
            return side.plain(side.run(piece, jobs[0], outcome))
        case "heartbeat":
            return _ids(side, side.run(piece, jobs))
        case "give_back":
            return _jobs(side, side.run(piece, jobs), without=["payload_json"])
        case _:
            return _sum(side, piece)


@contextmanager
def _undoes(world: World, between: Callable[[], None]) -> Iterator[None]:
    """The first that the database is asked for is undone. In `between`, somebody else comes."""
    db: Any = world.app.db
    transaction, fetch_all = db.transaction, db.fetch_all
    undone = False
    comes = [between]

    async def again() -> None:
        if comes:
            await asyncio.to_thread(comes.pop())

    async def undone_once(work: Any) -> Any:
        async def runs(connection: Any) -> Any:
            nonlocal undone
            if undone:
                await again()
                return await work(connection)
            await work(connection)
            undone = True
            raise SerializationFailure("somebody else came in between (says this test)")

        return await transaction(runs)

    async def fetch_all_again(*args: Any, **kwargs: Any) -> Any:
        # One statement leaves nothing behind when it is undone, not even in the process that asked for it.
        nonlocal undone
        undone = True
        await again()
        return await fetch_all(*args, **kwargs)

    db.transaction, db.fetch_all = undone_once, fetch_all_again
    try:
        yield
    finally:
        del db.transaction, db.fetch_all


# -- the duties: tasks 7 and 13

REDIS_FAILS: Mapping[str, Callable[[], RedisError]] = {
    "refuses connections": lambda: RedisConnectionError("Connection refused"),
    "hangs": lambda: RedisTimeoutError("Timeout reading from socket"),
    "is still loading": lambda: BusyLoadingError("LOADING Redis is loading the dataset in memory"),
    "is a replica now": lambda: ReadOnlyError("You can't write against a read only replica."),
}


def _pump_without_redis(side: Side, how: str) -> Iterator[Seen]:
    _insert(side, [_over(_row(1, "retry", 2))])

    def fails() -> None:
        raise REDIS_FAILS[how]()

    with side.world.before_redis(fails):
        yield Seen(
            f"pump_retries, where one job is due and Redis {how}: the answer", side.run("pump_retries")
        )
    yield from _after(side, f"after pump_retries, where Redis {how}")


def _pushes_what_is_committed(side: Side, case: str) -> Iterator[Seen]:
    """A worker may pop an entry at once: its claim must find the job queued."""
    job = _insert(side, [_over(_row(1, "retry", 2))])["job 1"]
    found: list[str] = []
    with side.world.before_redis(lambda: found.append(_job(side, job.task_id).status)):
        side.run("pump_retries")
    early = (
        "it is still a retry, for everybody but you" if "retry" in found else "it is queued, for everybody"
    )
    yield Seen("when pump_retries pushes an entry, and a worker claims its job at once", early)


MOST_TURNS = 12


def _sum(side: Side, piece: str, first: Any = 0) -> Any:
    """How many it did in all, until it said none; or the first answer that is no number."""
    numbers = [first] if first else []
    for _ in range(MOST_TURNS):
        if numbers and (not isinstance(numbers[-1], int) or numbers[-1] < 0):
            return side.plain(numbers[-1])
        answer = side.run(piece)
        if answer == 0 and isinstance(answer, int):
            return sum(numbers)
        numbers.append(answer)
    return f"never 0, in {MOST_TURNS} calls"


def _pumps(side: Side, case: tuple[Kept, ...]) -> Iterator[Seen]:
    _insert(side, case)
    yield Seen(f"pump_retries until it has none, {_where(case)}: how many in all", _sum(side, "pump_retries"))
    yield from _after(side, f"after pump_retries, {_where(case)}")


def _two_pump(side: Side, case: tuple[Kept, ...]) -> Iterator[Seen]:
    _insert(side, case)
    yield from _at_once(side, "pump_retries", case)


def _reaps(side: Side, case: tuple[Kept, ...]) -> Iterator[Seen]:
    _insert(side, case)
    yield Seen(f"reap until it has none, {_where(case)}: how many in all", _sum(side, "reap"))
    yield from _after(side, f"after reap, {_where(case)}", open_texts=True)


def _two_reap(side: Side, case: tuple[Kept, ...]) -> Iterator[Seen]:
    _insert(side, case)
    yield from _at_once(side, "reap", case)


def _at_once(side: Side, piece: str, case: tuple[Kept, ...]) -> Iterator[Seen]:
    running = [side.start(piece, process=process) for process in (0, 1)]
    answers = [one.result() for one in running]
    wrong = [answer for answer in answers if not isinstance(answer, int)]
    number = side.plain(wrong[0]) if wrong else sum(answers) + _sum(side, piece)
    what = f"{piece} in two processes at once, {_where(case)}"
    yield Seen(f"{what}: how many in all", number)
    yield from _after(side, f"after {what}", open_texts=piece == "reap")
