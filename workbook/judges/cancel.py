"""What chapter 04 is judged on.

Open in the contract: whether `worker` stays or becomes NULL, whether the Job that is returned has its payload, how
often a cancel hints and whether by `app.hints`, when the lease leaves its view after the answer, and what becomes of
an entry that stands in a queue of more than a thousand.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from hypothesis import strategies as st
from redis import exceptions as redis
from scheduler.entry import Entry
from scheduler.jobs import Job, Status

from workbook import rivals
from workbook.judge import Judge, Row, Seen, Side
from workbook.judges import odd
from workbook.judges.hints import Listening

OPEN = ("queued", "running", "retry")
ENDED = ("failed", "succeeded", "deadletter", "cancelled")
RIVALS: Mapping[str, Mapping[str, str]] = {
    "claims it": {"queued": "running"},
    "finishes it": {"running": "succeeded"},
    "leaves it for a retry": {"running": "retry"},
    "gives it up": {"running": "deadletter"},
    "queues it again": {"retry": "queued", "running": "queued"},
    "requeues it": {"failed": "queued", "deadletter": "queued"},
    "cancels it": dict.fromkeys(OPEN, "cancelled"),
}
"""What others do to a job: from which status it leads to which."""
REFUSALS = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.ResponseError,
    redis.BusyLoadingError,
    redis.ReadOnlyError,
    redis.AuthenticationError,
    redis.NoScriptError,
    redis.InvalidResponse,
    redis.MaxConnectionsError,
)
NO_IDS = (
    "",
    " ",
    "not-a-uuid",
    "{{{id}}}",
    "urn:uuid:{id}",
    "{id}\n",
    " {id}",
    "{hex}",
    "{id}x",
    "x' OR '1'='1",
    "{id}' OR '1'='1",
    "%s",
    "é",
)
"""What is no id, made of one that is."""
FILLERS = 30
"""How long a queue is that seems long to whoever looks at a part of it."""
MANY = 990
"""With a few more, as long as a queue may be of which every entry must go."""


def task_1(judge: Judge) -> None:
    judge.compare(_stories(["cancel in the database"]), _play, examples=30)
    judge.compare(_again("cancel in the database"), _play, examples=30)
    judge.compare(st.sampled_from(RACES), partial(_race, piece=True), examples=2 * len(RACES))


def task_2(judge: Judge) -> None:
    judge.compare(_queues(), _remove, examples=40)
    judge.each(LONG_QUEUES, _remove)
    judge.each(["remove_entry"], _scripts_forgotten)


def task_3(judge: Judge) -> None:
    judge.compare(_stories(["CancelJob", "pushes it"]), _play, examples=30)
    judge.compare(_again("CancelJob"), _play, examples=30)
    judge.compare(st.sampled_from(IDS), _odd_id, examples=2 * len(IDS))
    judge.compare(st.sampled_from(REFUSALS), _redis_refuses, examples=2 * len(REFUSALS))
    judge.each([_spelled("queued")], _play)
    judge.each(["CancelJob"], _scripts_forgotten)


def task_4(judge: Judge) -> None:
    judge.compare(st.sampled_from(RACES), _race, examples=2 * len(RACES))
    judge.compare(st.sampled_from(BETWEEN), _rival_between, examples=2 * len(BETWEEN))


def task_5(judge: Judge) -> None:
    judge.compare(_stories(["CancelJob", "pushes it"], leases=True), _play, examples=30)
    judge.compare(st.sampled_from(REFUSALS), partial(_redis_refuses, status="running"), examples=30)
    judge.each([_spelled("running")], _play)
    judge.each(RACES_WITH_A_LEASE, partial(_race, lease=True))
    judge.each(["CancelJob of a running job"], _scripts_forgotten)


# -- stories: a few jobs, and what happens to them


@dataclass(frozen=True)
class Step:
    """What happens to one of the jobs."""

    what: str
    job: int
    process: int = 0
    upper: bool = False

    def __repr__(self) -> str:
        where = f" in process {self.process + 1}" if self.process else ""
        who = "somebody " if self.what in OTHERS else ""
        return f"{who}{self.what.replace(' it', '')} job {self.job + 1}{where}{' in upper case' if self.upper else ''}"


@dataclass(frozen=True)
class Story:
    """Some jobs, and the steps in turn."""

    rows: tuple[Row, ...]
    steps: tuple[Step, ...]
    leases: bool = False
    """Whether there are leases in Redis, each of the running jobs' and one of an unknown job's."""
    entries: tuple[int, ...] = ()
    """How many entries of each job are in its queue."""
    attempts: bool = False
    """Whether there are rows of `task_attempts` from earlier."""


@st.composite
def _stories(draw: st.DrawFn, steps: list[str], leases: bool = False) -> Story:
    own, *others = steps
    rows = tuple(draw(_rows(number)) for number in range(1, draw(st.integers(1, 2)) + 1))
    told = []
    for _ in range(draw(st.integers(0, 4))):
        what = draw(st.sampled_from([own, *others, *RIVALS]))
        told.append(Step(what, draw(st.integers(0, len(rows) - 1)), draw(st.integers(0, 1))))
    last = Step(own, draw(st.integers(0, len(rows) - 1)), draw(st.integers(0, 1)), draw(st.booleans()))
    entries = tuple(draw(st.integers(0, 2)) for _ in rows) if others else ()
    return Story(rows, (*told, last), leases, entries, draw(st.booleans()))


def _again(own: str) -> st.SearchStrategy[Story]:
    """A cancel, then what somebody else does, and another cancel: what code remembers of the first is old by then."""
    there = [(status, rival) for rival, leads in RIVALS.items() for status in leads if rival != "cancels it"]
    late = [(status, "submits it") for status in ("queued", "running")]
    return st.sampled_from(
        [
            Story(
                (Row("job 1", odd.task_id(1), status),), (Step(own, 0), Step(rival, 0), Step(own, 0, process))
            )
            for status, rival in (*there, *late)
            for process in (0, 1)
        ]
    )


def _spelled(status: str) -> Story:
    """The client may write the id in its own way, and what Redis holds is written in ours."""
    row = Row("job 1", odd.task_id(1), status)
    return Story((row,), (Step("CancelJob", 0, upper=True),), leases=status == "running", entries=(1,))


PAST: Mapping[Status, tuple[str, str]] = {
    Status.RUNNING: ("lease_expires_at", "its lease is long over"),
    Status.RETRY: ("next_run_at", "its retry is long due"),
}
"""What may be past while nobody has acted on it yet."""


@st.composite
def _rows(draw: st.DrawFn, number: int) -> Row:
    """A row whose columns all differ, with times that no float holds."""
    status = Status(draw(st.sampled_from([*OPEN, *ENDED])))
    columns: dict[str, Any] = {
        name: odd.NOON - timedelta(days=days, microseconds=7 * days + number)
        for days, name in enumerate(("updated_at", "started_at", "queued_at", "created_at"), 1)
    }
    columns["version"] = draw(st.sampled_from([1, 2, 7, 2**40]))
    columns["attempts"] = draw(st.integers(1, 3))
    columns["max_attempts"] = draw(st.sampled_from([3, 5, 100]))
    columns["last_error"] = draw(st.sampled_from([None, "E: it's 100%s", "{}"]))
    columns["payload"] = draw(st.sampled_from(["{}", '{"a": "it\'s"}', "[1.5]", "null"]))
    columns["idempotency_key"] = draw(st.sampled_from([None, f"key' {number}"]))
    if status is Status.QUEUED:
        columns["pushed_at"] = odd.NOON - timedelta(seconds=90)
    if status in PAST and draw(st.booleans()):
        columns[PAST[status][0]] = odd.NOON - timedelta(seconds=60)
    if status.is_terminal:
        columns["finished_at"] = odd.NOON - timedelta(seconds=30)
    priority = draw(st.sampled_from(["default", "critical", "high", "low"]))
    return Row(f"job {number}", odd.task_id(number), status, draw(odd.types()), priority, columns)


def _play(side: Side, case: Story) -> Iterator[Seen]:
    """The labels say what has happened so far, so they are the same on both sides."""
    entries = case.entries or (0,) * len(case.rows)
    there = " and ".join(map(_short, case.rows, entries))
    rows = _begin(side, case)
    hints = Listening(side)
    locks = _locks_held(side)  # of earlier inputs
    done: list[str] = []
    for step in case.steps:
        row = rows[step.job]
        done.append(repr(step))
        what = f"{', then '.join(done)}, where there {'is' if len(rows) == 1 else 'are'} {there}"
        if step.what in OTHERS:
            _other(side, row, step.what)
            continue
        hints.forget()
        if step.what == "CancelJob":
            text = str(row.task_id).upper() if step.upper else str(row.task_id)
            yield Seen(what, side.call("CancelJob", step.process, job_id=text).value)
            yield Seen(f"the jobs that are hinted at by {what}", hints.taken())
            yield Seen(f"the row when the hint goes out, {what}", hints.found("cancelled"))
        else:
            world = side.worlds[step.process % len(side.worlds)]
            job = _told_job(side, world.run(world.code.cancel_in_database, row.task_id))
            yield Seen(f"what is returned by {what}", job)
        held = ["an advisory lock" for _ in _locks_held(side) - locks]
        yield Seen(f"what locks a connection in the pool has kept after {what}", held)
        if held:  # whoever wants one of them next would wait for ever
            break
        for table in (side.rows(without=["worker"]), side.rows("task_attempts"), side.redis()):
            yield Seen(f"{table.what} after {what}", _by_job(table.value))
    hints.close()


def _locks_held(side: Side) -> set[tuple[Any, ...]]:
    """Advisory locks that outlive their transaction: a connection goes back into its pool with them."""
    found = side.world.sql(
        "SELECT pid, classid, objid, objsubid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
        "WHERE locktype = 'advisory' AND granted AND datname = current_database()"
    )
    return {tuple(row.values()) for row in found}


OTHERS = (*RIVALS, "submits it", "pushes it")


def _other(side: Side, row: Row, what: str) -> None:
    match what:
        case "submits it":
            side.insert(row)
        case "pushes it":
            _push(side, row)
        case rival:
            _act(side, row.task_id, rival)


def _begin(side: Side, case: Story) -> list[Row]:
    """Write the rows. Their ids are new each time: channels of Redis are shared by all of its indexes."""
    for world in side.worlds:
        world.serve()
    rows = [replace(row, task_id=uuid4()) for row in case.rows]
    late = {step.job for step in case.steps if step.what == "submits it"}
    for number, row in enumerate(rows):
        side.knows(row.task_id, row.name)
        if number in late:
            continue
        side.insert(row)
        for _ in range(case.entries[number] if case.entries else 0):
            _push(side, row)
        if case.leases and row.status == "running":
            side.world.redis.zadd("leases", {str(row.task_id): 1.7e12})
        if case.attempts:
            earlier = [row.task_id, row.columns["created_at"], row.columns["queued_at"]]
            side.world.sql(
                "INSERT INTO task_attempts (task_id, attempt, started_at, finished_at, ok, error) "
                "VALUES (%s, 1, %s, %s, false, 'E')",
                *earlier,
            )
    if case.leases:
        side.world.redis.zadd("leases", {"of another job": 1.7e12})
    return rows


def _short(row: Row, entries: int) -> str:
    plain = {"type": row.type, "priority": row.priority, "version": row.columns.get("version", 1)}
    usual = {"type": "noop", "priority": "default", "version": 1}
    odds = "".join(f", {name} {value!r}" for name, value in plain.items() if value != usual[name])
    odds += "".join(f", {told}" for column, told in PAST.values() if column in row.columns)
    held = {0: "", 1: ", with an entry"}.get(entries, f", with {entries} entries")
    return f"{row.name} ({row.status}{odds}{held})"


def _by_job(value: Any) -> Any:
    """Rows by the name of their job, so that a difference is told by it."""
    return {str(row["task_id"]): row for row in value} if isinstance(value, list) else value


def _told_job(side: Side, answer: Any) -> Any:
    if not isinstance(answer, Job):
        return side.plain(answer)
    job: dict[str, Any] = side.plain(answer)
    return {name: value for name, value in job.items() if name not in ("worker", "payload_json")}


def _act(side: Side, task_id: UUID, rival: str) -> bool:
    """Somebody else changes the job, if its status is one that they change, as a guarded UPDATE does."""
    job = side.world.row(task_id)
    status = RIVALS[rival].get(job.status) if job else None
    if job is None or status is None:
        return False
    more: dict[str, Any] = {"attempts": job.attempts + 1} if status == "running" else {}
    side.world.update(job, status, **more)
    return True


def _entry(side: Side, row: Row) -> bytes:
    return side.world.app.parts.encode_entry(Entry(row.task_id, row.type, row.priority))  # type: ignore[arg-type]


def _push(side: Side, *rows: Row) -> None:
    """Push them in this order, all to the queue of the first."""
    if rows:
        side.world.redis.lpush(f"q:{rows[0].priority}", *(_entry(side, row) for row in rows))


# -- the queue


@dataclass(frozen=True)
class Queue:
    """What is in the queues, newest first, by the jobs' numbers; which of them goes; whether others push meanwhile."""

    jobs: tuple[Row, ...]
    held: tuple[int, ...]
    goes: int
    newer: int
    """How many entries of other jobs stand before those."""
    busy: bool = False
    older: int = 0
    """And how many behind them."""

    def __repr__(self) -> str:
        job, held = self.jobs[self.goes], [f"an entry of job {number + 1}" for number in self.held]
        newer, older = ([f"{number} others"] if number else [] for number in (self.newer, self.older))
        others = "".join(
            hint
            for number, hint in ((1, ", job 2 has job 1's type"), (2, ", job 3 has job 1's id for its type"))
            if number in self.held
        )
        busy = ", and others push meanwhile" if self.busy else ""
        there = ", then ".join([*newer, *held, *older]) or "nothing"
        where = f"where there is {there}{others}{busy}"
        return f"{job.name} ({job.status}, type {job.type!r}, queue q:{job.priority}), {where}"


@st.composite
def _queues(draw: st.DrawFn) -> Queue:
    jobs = _jobs(draw(odd.types()), draw(st.sampled_from(["default", "critical", "high", "low"])))
    status = draw(st.sampled_from(["queued", "cancelled"]))  # cancel_job hands it over as it is by then
    jobs = tuple(replace(row, status=status) for row in jobs)
    held = draw(st.lists(st.integers(0, 3), max_size=6))
    goes, newer = draw(st.integers(0, 1)), draw(st.sampled_from([0, FILLERS]))
    return Queue(jobs, tuple(held), goes, newer, draw(st.booleans()))


def _jobs(kind: str, priority: str) -> tuple[Row, ...]:
    first = Row("job 1", odd.task_id(1), "cancelled", kind, priority)
    return (
        first,
        replace(first, name="job 2", task_id=odd.task_id(2)),
        replace(first, name="job 3", task_id=odd.task_id(3), type=str(first.task_id)),
        replace(
            first, name="job 4", task_id=odd.task_id(4), priority="low" if priority == "high" else "high"
        ),
    )


LONG_QUEUES = [
    Queue(_jobs("noop", "default"), (0, 1, 0), 0, newer=newer, older=MANY - newer)
    for newer in (MANY, 0, MANY // 2)
]


def _remove(side: Side, case: Queue) -> Iterator[Seen]:
    job = case.jobs[case.goes]
    for row in case.jobs:
        side.knows(row.task_id, row.name)
    fillers = [replace(job, task_id=odd.task_id(100 + number)) for number in range(case.newer + case.older)]
    _push(side, *fillers[: case.older])
    for number in reversed(case.held):
        _push(side, case.jobs[number])
    _push(side, *fillers[case.older :])
    pushed: list[bytes] = []

    def push() -> None:
        pushed.append(_entry(side, replace(job, task_id=odd.task_id(10_000 + len(pushed)))))
        side.world.redis.lpush(f"q:{job.priority}", pushed[-1])

    given = Job.from_row(side.world.sql("SELECT * FROM tasks WHERE task_id = %s", _inserted(side, job))[0])
    remove = side.world.code.remove_entry
    if case.busy:
        with rivals.between_commands(side.world, push):
            answer = side.world.run(remove, given)
    else:
        answer = side.world.run(remove, given)
    kept = side.world.redis.lrange(f"q:{job.priority}", 0, -1)
    lost = len(set(pushed) - set(kept))
    told = f"what others push between the commands of remove_entry of {case}"
    yield Seen(told, f"{lost} of {len(pushed)} entries are lost" if lost else "is still there")
    yield Seen(f"remove_entry of {case}", answer if type(answer) is int else side.plain(answer))
    for one in set(pushed):
        side.world.redis.lrem(f"q:{job.priority}", 0, one)
    left = side.redis()
    if len(case.held) < len(fillers):
        own = [one for one in kept if one == _entry(side, job)]
        yield Seen(f"how many entries of {job.name} are left after remove_entry of {case}", len(own))
    yield Seen(f"{left.what} after remove_entry of {case}", left.value)


def _inserted(side: Side, row: Row) -> UUID:
    side.insert(row)
    return row.task_id


# -- ids


IDS = (
    "{id}",
    "{ID}",
    *NO_IDS,
    *(f"00000000-0000-{version}000-8000-00000000000{version}" for version in (0, 1, 3, 7)),
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
)


def _odd_id(side: Side, shape: str) -> Iterator[Seen]:
    row = Row("job 1", odd.task_id(1), "queued")
    side.insert(row)
    text = str(row.task_id)
    asked = shape.replace("{{", "\0").replace("}}", "\1")
    asked = asked.replace("{id}", text).replace("{ID}", text.upper()).replace("{hex}", row.task_id.hex)
    asked = asked.replace("\0", "{").replace("\1", "}")
    seen = side.call("CancelJob", job_id=asked)
    yield Seen(f"CancelJob({asked!r}), where there is the job {text}", seen.value)
    yield Seen(f"the rows after CancelJob({asked!r})", side.rows(without=["worker"]).value)


# -- Redis fails


def _redis_refuses(side: Side, kind: type[Exception], status: str = "queued") -> Iterator[Seen]:
    row = Row("job 1", uuid4(), status)
    side.insert(row)
    hints = Listening(side)
    with rivals.failing(side.world, kind("as asked")):
        try:
            seen = side.call("CancelJob", job_id=row.task_id).value
        except redis.RedisError as error:
            seen = f"your code raised {type(error).__name__}"
    what = f"CancelJob of a {status} job, where each command to Redis fails with redis-py's {kind.__name__}"
    yield Seen(what, seen)
    yield Seen(f"the jobs that are hinted at (by app.hints, which still works) by {what}", hints.taken())
    hints.close()
    yield Seen(f"the row after {what}", _by_job(side.rows(without=["worker"]).value))


def _scripts_forgotten(side: Side, case: str) -> Iterator[Seen]:
    """Two jobs in turn, and in between Redis has been started anew. Who loads no scripts does not notice."""
    status = "running" if "running" in case else "queued"
    rows = [Row(f"job {number}", uuid4(), status) for number in (1, 2)]
    side.insert(*rows)
    side.world.serve()
    _push(side, *rows)
    if status == "running":
        side.world.redis.zadd("leases", {str(row.task_id): 1.7e12 for row in rows})
    for row in rows:
        with ExitStack() as stack:
            if row is rows[1]:
                stack.enter_context(rivals.scripts_forgotten(side.world))
            if case == "remove_entry":
                answer = side.run("remove_entry", side.world.row(row.task_id))
            else:
                answer = side.call("CancelJob", job_id=row.task_id).value
        side.world.run(lambda app: app.hints.close())
        since = (
            ", when Redis was started anew since the call for job 1 and knows no script of yours (NOSCRIPT)"
        )
        what = f"{case} for {row.name}{since if row is rows[1] else ''}"
        yield Seen(what, answer if type(answer) is int else side.plain(answer))
        yield Seen(f"{side.redis().what} after {what}", side.redis().value)


# -- races


@dataclass(frozen=True)
class Race:
    """A rival, who has written and not committed yet when one or two cancels want the row."""

    status: str
    rival: str
    cancels: int

    def __repr__(self) -> str:
        cancels = "two cancels" if self.cancels == 2 else "a cancel"
        return f"{cancels} of a {self.status} job while somebody {self.rival} and commits first"


RACES = [
    Race(status, rival, cancels)
    for rival, leads in RIVALS.items()
    for status in leads
    for cancels in (1, 2)
    if status in OPEN
]
"""Of a job that had ended an UPDATE does not wait for a rival, and a SELECT … FOR UPDATE does: both are right."""


RACES_WITH_A_LEASE = [
    race
    for race in RACES
    if race.cancels == 1 and race.rival in ("claims it", "finishes it", "queues it again")
]


def _race(side: Side, case: Race, piece: bool = False, lease: bool = False) -> Iterator[Seen]:
    """An entry, and with `lease` a lease, is in Redis: what a claim, a finish or a reaper may have left there."""
    row = Row("job 1", uuid4(), case.status, columns={"attempts": 1, "version": 5})
    side.insert(row)
    hints = Listening(side)
    job = side.world.row(row.task_id)
    assert job is not None
    if not piece:
        _push(side, row)
    if lease:
        side.world.redis.zadd("leases", {str(row.task_id): 1.7e12})
    worlds = [side.worlds[number % len(side.worlds)] for number in range(case.cancels)]
    with side.world.locked(job, RIVALS[case.rival][case.status]) as lock:
        running = [
            world.start(world.code.cancel_in_database, row.task_id)
            if piece
            else world.begin("CancelJob", job_id=row.task_id)
            for world in worlds
        ]
        for one in running:
            lock.wait_for(one)
        waits = not any(one.done for one in running)
        if not piece:
            early = hints.taken()
        lock.commit()
    answers = [one.result() for one in running]
    if not piece:
        after = hints.taken()
    hints.close()
    told = [_told_job(side, one) if piece else one.cancelled for one in answers]
    ended = f"it has ended, with the answer {told[0]!r}"
    what = f"what a cancel does before the commit, when nobody can know what the row will be, at {case}"
    yield Seen(what, "it waits for the row" if waits else ended)
    yield Seen(f"the answers of {case}", sorted(told, key=repr))
    if not piece:
        yield Seen(f"the jobs that are hinted at before the commit, at {case}", early)
        yield Seen(f"the jobs that are hinted at, at {case}", after)
        yield Seen(f"the row when the hint goes out, at {case}", hints.found("cancelled"))
        held = "an entry and a lease" if lease else "an entry"
        yield Seen(f"{side.redis().what} after {case}, where there was {held}", side.redis().value)
    yield Seen(f"the row after {case}", _by_job(side.rows(without=["worker"]).value))


@dataclass(frozen=True)
class Between:
    """A rival who acts when the code's statement with this number has been answered."""

    status: str
    rival: str
    number: int

    def __repr__(self) -> str:
        return f"a {self.status} job, where somebody {self.rival} right after your statement {self.number}"


BETWEEN = [
    Between(status, rival, number)
    for number in (1, 2, 3)
    for status, rival in (
        *((status, rival) for rival, leads in RIVALS.items() for status in leads),
        ("queued", "deletes it"),
        ("succeeded", "deletes it"),
        ("missing", "submits it"),
    )
]


def _rival_between(side: Side, case: Between) -> Iterator[Seen]:
    """However the two meet: the answer, the row and its version must belong to one order of them."""
    row = Row("job 1", uuid4(), "queued" if case.status == "missing" else case.status, columns={"version": 5})
    side.knows(row.task_id, row.name)
    side.call("GetJob", job_id=row.task_id)
    if case.status != "missing":
        side.insert(row)
    acted: list[bool] = []

    def act() -> None:
        match case.rival:
            case "deletes it":
                side.world.sql("DELETE FROM tasks WHERE task_id = %s", row.task_id)
                acted.append(True)
            case "submits it":
                side.insert(row)
                acted.append(True)
            case rival:
                acted.append(_act(side, row.task_id, rival))

    with rivals.after_statement(side.world, case.number, act):
        answer = side.call("CancelJob", job_id=row.task_id).value
    job = side.world.row(row.task_id)
    won = answer == {"cancelled": True}
    ends = "gone" if job is None else f"{job.status} with version {job.version}"
    told = f"{'true' if won else 'false' if answer == {} else answer}, and the job is {ends}"
    fine = "an answer, a row and a version that fit together"
    yield Seen(f"CancelJob of {case}", fine if _fits(case, any(acted), won, answer, job) else told)


def _fits(case: Between, acted: bool, won: bool, answer: Any, job: Job | None) -> bool:
    if case.rival == "deletes it":
        return job is None or not acted
    if (
        case.rival == "submits it"
    ):  # false is open: a look after the UPDATE may find a job that is newer than that
        return won == (job.status == "cancelled") if job is not None else answer == "NOT_FOUND"
    assert job is not None
    had_ended = case.status in ENDED or (acted and RIVALS[case.rival].get(case.status) in ENDED)
    rises = int(won) + int(acted)
    status_fits = job.status == "cancelled" if won else had_ended
    return answer in ({}, {"cancelled": True}) and status_fits and job.version == 5 + rises
