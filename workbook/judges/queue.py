"""What chapter 01 is judged on.

Open in the contract: whether JSON writes é as itself or as \\u00e9, which of redis-py's errors comes of those that say
the same (Redis is away, or it refuses), what becomes of a push whose caller is cancelled, in which order
the entries of pushes at the same time stand, how often the entry of a repeat is pushed (it is once at least), which
commands push, and how a warning is worded. Until task 6, what becomes of a repeat.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import SecretStr
from redis.exceptions import (
    AuthenticationError,
    RedisError,
    ResponseError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)
from scheduler import redis_clients
from scheduler.entry import Entry
from scheduler.errors import InvalidRequest
from scheduler.jobs import Job, NewJob, Priority, Status
from scheduler.late_queue import is_away

from workbook.judge import Judge, Row, Seen, Side, blamed, said
from workbook.judges import odd
from workbook.judges.fake_redis import FakeRedis
from workbook.judges.leaks import passwords, texts_of
from workbook.loop import Hang
from workbook.patience import stretched
from workbook.redis_world import before_each_command, is_queue

WORDS = tuple(Priority)
NO_PRIORITIES = (
    "urgent",
    "",
    "HIGH",
    "High",
    " high",
    "high ",
    "q:high",
    "hig",
    "highest",
    "high,low",
    "Priority.HIGH",
    "medium",
    "name",
    "__class__",
    "0",
    "1",
    0,
    1,
    None,
    b"high",
    ["high"],
    {"high": 1},
    {"high"},
    ("high",),
)
"""The last ones are no words at all, and some of them no mapping can look up."""
TYPES = (
    *odd.TYPES,
    'a","priority":"low',
    "</script>",
    "a/b",
    "ends in \\",
    "\U0001f600",
    "two  spaces",
    "a: b, c",
    "\u2028",
    "t" * 200,
)
QUEUES = tuple(f"q:{priority}" for priority in Priority)
REFUSES = "ERR this server refuses"


def task_1(judge: Judge) -> None:
    words = (*WORDS, *(str.__str__(word) for word in WORDS), *NO_PRIORITIES)
    judge.each(words, _name)


def task_2(judge: Judge) -> None:
    judge.each([Push(1, type) for type in TYPES], _encoded)
    judge.compare(_pushes(), _encoded, examples=60)


def task_3(judge: Judge) -> None:
    judge.each(MUTE, _unanswered)
    judge.compare(
        st.lists(_pushes() | st.sampled_from(RIVALS), min_size=1, max_size=6), _in_turn, examples=60
    )
    judge.compare(st.lists(_pushes(), min_size=1, max_size=8, unique_by=_number), _together)
    judge.compare(st.lists(st.sampled_from((1, 2, 3)), min_size=2, max_size=5), _again, examples=20)
    judge.compare(_pushes(), _with_a_rival)
    judge.each(WORDS, _refused)
    judge.each([LONG], _behind_many)
    judge.compare(st.lists(_pushes(), max_size=8, unique_by=_number), _many, examples=10)
    judge.each(("the first", "the last"), _many_refused)
    judge.each(LEAVING, _left)


def task_4(judge: Judge) -> None:
    addresses = st.lists(
        st.builds(
            Address,
            st.sampled_from((None, *odd.SECRETS)),
            st.sampled_from((0, 1, 7, 15)),
            st.sampled_from(("", "", *REFUSALS)),
        ),
        min_size=1,
        max_size=3,
    )
    judge.compare(addresses, _connected, examples=40)
    judge.compare(addresses, _left_open, examples=12)
    judge.each(["hangs up"], _connected_in_vain)
    judge.each([30], _busy)


def task_5(judge: Judge) -> None:
    # The shortest stories first: what code keeps of an outage shows in one that tells of it.
    judge.each([[(JOB, redis) for redis in story] for story in STORIES], _submitted)
    judge.each(OVERTAKEN, _overtaken)
    judge.compare(
        st.lists(st.tuples(_new_jobs(), st.sampled_from(REDIS)), min_size=1, max_size=4),
        _submitted,
        examples=40,
    )


def task_6(judge: Judge) -> None:
    judge.compare(_repeats(), _repeated, examples=40)
    judge.compare(
        st.lists(
            st.tuples(st.sampled_from(odd.KEYS), st.sampled_from((0, 1)), st.booleans()),
            min_size=2,
            max_size=6,
        ),
        _keys,
    )
    judge.compare(st.builds(Race, *[st.sampled_from(some) for some in RACES]), _raced, examples=30)


def task_7(judge: Judge) -> None:
    judge.each(FAILURES, _failed)
    judge.each([(secret, how) for how in FAILS for secret in odd.SECRETS], _failed_with_a_password)


# -- tasks 1 and 2


def _name(side: Side, word: Any) -> Iterator[Seen]:
    shown = repr(word) if not isinstance(word, Priority) else f"Priority.{word.name}"
    try:
        got = side.code.queue_name(word)
    except NotImplementedError:
        raise
    except ValueError:
        got = "a ValueError"
    yield Seen(f"queue_name({shown})", got)


@dataclass(frozen=True)
class Push:
    """A job that is pushed, by its number."""

    number: int
    type: str = "noop"
    priority: Priority = Priority.HIGH
    kind: str = "an Entry"

    def __repr__(self) -> str:
        return f"{self.kind} of job {self.number} (type {self.type!r}, priority {self.priority})"

    @property
    def task_id(self) -> UUID:
        return odd.VERSIONS[self.number % len(odd.VERSIONS)]

    @property
    def job(self) -> Any:
        """What has an id, a type and a priority."""
        match self.kind:
            case "an Entry":
                return Entry(self.task_id, self.type, self.priority)
            case "a NewJob":
                return NewJob(self.type, self.priority, idempotency_key="once", task_id=self.task_id)
            case _:
                columns = {
                    "payload": "{}",
                    "status": "queued",
                    "attempts": 0,
                    "max_attempts": 3,
                    "version": 1,
                }
                row = dict.fromkeys(Job.__slots__) | columns | {"task_id": self.task_id, "type": self.type}
                return Job.from_row({**row, "priority": str(self.priority)})


def _number(push: Push) -> int:
    return push.number


def _pushes() -> SearchStrategy[Push]:
    return st.builds(
        Push,
        st.integers(0, 9),
        st.sampled_from(TYPES),
        st.sampled_from(WORDS),
        st.sampled_from(("an Entry", "a NewJob", "a Job")),
    )


def _encoded(side: Side, push: Push) -> Iterator[Seen]:
    got = side.code.encode_entry(push.job)
    yield Seen(f"encode_entry of {push!r}", spelled(got))
    yield Seen(f"encode_entry of {push!r}, called again", spelled(side.code.encode_entry(push.job)))


def spelled(raw: Any) -> Any:
    """An entry; one that writes é as itself in the way that writes it as \\u00e9, for either is right."""
    if not isinstance(raw, bytes):
        return raw
    try:
        value = json.loads(raw)
    except ValueError:
        return raw
    compact = {"separators": (",", ":")}
    as_itself = json.dumps(value, ensure_ascii=False, **compact).encode("utf-8", "surrogatepass")  # type: ignore[arg-type]
    return json.dumps(value, **compact).encode() if raw == as_itself else raw  # type: ignore[arg-type]


# -- task 3


RIVALS = ("somebody takes the oldest of each queue", "somebody else pushes to each queue")


@contextmanager
def _queues(side: Side, number: int) -> "Iterator[list[Any]]":
    """`JobQueue`s of as many processes."""
    queues = [side.redis_world.queue() for _ in range(number)]
    try:
        yield queues
    finally:
        for queue in queues:
            side.redis_world.closes(queue)


def _held(redis: Any) -> dict[str, Any]:
    """What each key holds, the newest first; one that will vanish by itself is told as such."""
    held: dict[str, Any] = {}
    for key in sorted(redis.keys("*")):
        name = key.decode()
        if redis.type(key) != b"list":
            held[name] = f"a {redis.type(key).decode()}"
        elif redis.ttl(key) != -1:
            held[name] = "a list that Redis drops after some time"
        else:
            held[name] = [spelled(entry) for entry in redis.lrange(key, 0, -1)]
    return held


def _in_turn(side: Side, case: "Sequence[Push | str]") -> Iterator[Seen]:
    """Pushes and what others do between them. A job that still has its entry is not pushed again."""
    world = side.redis_world
    waiting: set[int] = set()
    done: list[str] = []
    with _queues(side, 2) as queues:
        for step, one in enumerate(case):
            match one:
                case Push() if one.number not in waiting:
                    waiting.add(one.number)
                    world.run(queues[step % 2].push, one.job)
                    done.append(f"push of {one!r}")
                case "somebody else pushes to each queue":
                    for name in QUEUES:
                        world.redis.lpush(name, f"entry {step}")
                    done.append(str(one))
                case str():
                    for name in QUEUES:
                        if entry := world.redis.rpop(name):
                            waiting -= {number for number in waiting if _is_of(entry, number)}
                    done.append(one)
        yield Seen(f"what Redis holds after {', then '.join(done) or 'nothing'}", _held(world.redis))


def _is_of(entry: bytes, number: int) -> bool:
    return str(Push(number).task_id).encode() in entry


def _together(side: Side, case: Sequence[Push]) -> Iterator[Seen]:
    world = side.redis_world
    world.redis.lpush("q:high", "entry 1")
    with _queues(side, 2) as queues:
        world.run_together([(queues[number % 2].push, one.job) for number, one in enumerate(case)])
    held = {
        name: sorted(entries) if isinstance(entries, list) else entries
        for name, entries in _held(world.redis).items()
    }
    yield Seen(
        f"what Redis holds, in no order, after these pushes at the same time in two processes: {case!r}", held
    )


def _with_a_rival(side: Side, push: Push) -> Iterator[Seen]:
    """Between two commands of one push, somebody takes an entry and pushes another."""
    world, name = side.redis_world, f"q:{push.priority}"
    world.redis.lpush(name, "entry 1", "entry 2", "entry 3")
    others = [b"entry 1", b"entry 2", b"entry 3"]
    commands = 0

    def rival() -> None:
        nonlocal commands
        commands += 1
        if commands > 1:
            taken = world.redis.rpop(name)
            if taken in others:
                others.remove(taken)
            world.redis.lpush(name, f"rival {commands}")
            others.append(f"rival {commands}".encode())

    with _queues(side, 1) as [queue], before_each_command(queue.redis, rival):
        world.run(queue.push, push.job)
    held = [entry for entry in world.redis.lrange(name, 0, -1) if not _is_of(entry, push.number)]
    where = f"{name} after the push of {push!r}, while others take and push"
    yield Seen(
        f"the entries of others that are lost from {where}", [one for one in others if one not in held]
    )
    yield Seen(
        f"the entries of others that are back in {where}, though they were taken",
        [one for one in held if one not in others],
    )


def _again(side: Side, case: Sequence[int]) -> Iterator[Seen]:
    """Some jobs are pushed while they wait. How often each has an entry then is open, and not when it comes out."""
    world = side.redis_world
    with _queues(side, 2) as queues:
        for step, number in enumerate(case):
            world.run(queues[step % 2].push, Push(number).job)
    told = ", then ".join(f"job {number}" for number in case)
    yield Seen(
        f"in which order workers get the jobs, each for the first time, after pushes of {told}",
        list(dict.fromkeys(_oldest_first(world.redis.lrange("q:high", 0, -1), case))),
    )


def _oldest_first(held: Sequence[bytes], numbers: Sequence[int]) -> list[Any]:
    """What a list holds, in the order in which it is taken: the jobs of these numbers by their names."""
    return [
        next((f"job {number}" for number in set(numbers) if _is_of(entry, number)), entry)
        for entry in reversed(held)
    ]


MUTE: dict[str, dict[str, Any]] = {
    "reads the command and hangs up": {"hangs_up": True},
    "takes the connection and never answers": {"silent": True},
}


def _unanswered(side: Side, case: str) -> Iterator[Seen]:
    """Whether an entry is there, nobody can know. Whoever pushes hears of it, and at once."""
    with FakeRedis(**MUTE[case]) as redis:
        # As soon as the scheduler itself gives up: here, nothing comes of more patience.
        queue = side.redis_world.queue(settings_of(side, redis.port, None), socket_timeout=0.5)
        try:
            got = outcome(lambda: side.redis_world.run(queue.push, Push(1).job))
        finally:
            side.redis_world.closes(queue)
        yield Seen(f"a push to a Redis that {case}", got)
        yield Seen(f"how often one push asks a Redis that {case}", redis.askers)


def _refused(side: Side, priority: Priority) -> Iterator[Seen]:
    """Redis refuses, and takes the next one."""
    world, name = side.redis_world, f"q:{priority}"
    world.redis.set(name, "not a list")
    with _queues(side, 1) as [queue]:
        first = outcome(lambda: world.run(queue.push, Push(1, priority=priority).job))
        held = _held(world.redis)
        world.redis.delete(name)
        world.run(queue.push, Push(2, priority=priority).job)
    yield Seen(f"a push to {name}, which is no list but a string (Redis refuses it: WRONGTYPE)", first)
    yield Seen(f"what Redis holds when it has refused a push to {name}, which is a string", held)
    yield Seen(
        f"what Redis holds when it has refused a push to {name}, and then taken one", _held(world.redis)
    )


LONG = 100_001
"""More entries than anybody would think of as many."""
FILL = """
    local entries = {}
    for i = 1, 5000 do entries[i] = 'entry' end
    for _ = 1, ARGV[1] do redis.call('LPUSH', KEYS[1], unpack(entries)) end
"""


def _behind_many(side: Side, number: int) -> Iterator[Seen]:
    """A worker that is down for a night finds all that waited."""
    world, name = side.redis_world, "q:high"
    world.redis.lpush(name, "the oldest entry")
    world.redis.eval(FILL, 1, name, (number - 1) // 5_000)
    # In its own time, should it look at all of them.
    queue = world.queue(socket_timeout=stretched(3))
    try:
        got = outcome(lambda: world.run(queue.push, Push(1).job))
    finally:
        world.closes(queue)
    yield Seen(f"a push to {name}, where {number} entries wait", got)
    after = f"{name} after one push, where {number} entries waited before"
    yield Seen(f"how many entries are in {after}", world.redis.llen(name))
    yield Seen(f"which is the oldest in {after}", world.redis.lindex(name, -1))


def _many(side: Side, case: Sequence[Push]) -> Iterator[Seen]:
    """`push_many` is given, and whoever writes it anew keeps what it promises."""
    world = side.redis_world
    world.redis.lpush("q:high", "entry 1")
    with _queues(side, 1) as [queue]:
        world.run(queue.push_many, [one.job for one in case])
    numbers = [one.number for one in case]
    order = {name: _oldest_first(world.redis.lrange(name, 0, -1), numbers) for name in QUEUES}
    yield Seen(f"in which order workers get what waits, after one push_many of {list(case)!r}", order)
    yield Seen(f"what Redis holds after one push_many of {list(case)!r}", _held(world.redis))


def _many_refused(side: Side, which: str) -> Iterator[Seen]:
    """Redis refuses one of the lists. Whether the others have their entries then is open."""
    world = side.redis_world
    world.redis.set("q:low", "not a list")
    pushes = [Push(1, priority=Priority.LOW), Push(2)]
    with _queues(side, 1) as [queue]:
        jobs = [one.job for one in (pushes if which == "the first" else reversed(pushes))]
        got = outcome(lambda: world.run(queue.push_many, jobs))
    yield Seen(f"push_many of two jobs, where the queue of {which} is no list but a string", got)


@dataclass(frozen=True)
class Leaving:
    """Pushes of one moment over one queue: of these jobs, each with its queue. The caller of one leaves."""

    queues: Sequence[Priority]
    who: int
    turns: int

    def __repr__(self) -> str:
        when = (
            "at once"
            if not self.turns
            else f"after {self.turns} turn{'s' * (self.turns > 1)} of the event loop"
        )
        told = ", ".join(f"job {one.number} ({one.priority})" for one in self.pushes)
        return f"pushes of {told} at the same time, where the caller of job {self.who} is cancelled {when}"

    @property
    def pushes(self) -> list[Push]:
        return [Push(number, priority=priority) for number, priority in enumerate(self.queues)]


LEAVING = (
    Leaving((Priority.HIGH, Priority.HIGH), 0, 1),
    Leaving((Priority.HIGH, Priority.HIGH), 0, 3),
    Leaving((Priority.LOW, Priority.HIGH, Priority.HIGH), 1, 2),
    Leaving((Priority.HIGH, Priority.HIGH, Priority.HIGH), 2, 2),
    Leaving((Priority.HIGH, Priority.LOW), 0, 5),
    Leaving((Priority.HIGH, Priority.HIGH), 0, 0),
)
"""Before anything is sent, while it is, and when an answer is waited for."""


def _left(side: Side, case: Leaving) -> Iterator[Seen]:
    """Whoever is cancelled takes nobody along. Whether the own entry is there then is open."""
    world = side.redis_world
    with _queues(side, 1) as [queue]:
        ends = world.ends_together([(queue.push, one.job) for one in case.pushes], case.who, case.turns)
        others = [one.number for one in case.pushes if one.number != case.who]
        yield Seen(
            f"how those whose callers are there end, of {case!r}",
            {f"job {number}": _ended(ends[number]) for number in others},
        )
        held = world.redis.lrange("q:high", 0, -1) + world.redis.lrange("q:low", 0, -1)
        missing = [f"job {number}" for number in others if not any(_is_of(entry, number) for entry in held)]
        yield Seen(f"which of those whose callers are there have no entry, of {case!r}", missing)
        later = outcome(lambda: world.run(queue.push, Push(9).job))
        yield Seen(f"one more push over the same queue, after {case!r}", later)


def _ended(error: BaseException | None) -> str:
    """The end of a push that nobody has cancelled."""
    if isinstance(error, asyncio.CancelledError):
        return "cancelled, though its own caller was not"

    def act() -> None:
        if error is not None:
            raise error

    return outcome(act)


def outcome(act: Callable[[], Any]) -> str:
    """Whether something returned, or what it raised. Which error of redis-py's is open."""
    try:
        act()
    except (NotImplementedError, Hang, AssertionError):
        raise
    except RedisError:
        return "an error of redis-py"
    except Exception as error:
        return f"{type(error).__module__}.{said(error)}"
    return "no error"


# -- task 4


@dataclass(frozen=True)
class Address:
    """A Redis, and what it refuses."""

    password: str | None
    number: int
    refusal: str

    def __repr__(self) -> str:
        password = "no password" if self.password is None else f"the password {self.password!r}"
        return f"a Redis with {password}, database {self.number}" + (
            f", {self.refusal}" if self.refusal else ""
        )

    @property
    def options(self) -> dict[str, Any]:
        """Of a `FakeRedis` that does so."""
        return REFUSALS.get(self.refusal, {})


REFUSALS: dict[str, dict[str, Any]] = {
    "which refuses every command": {"refusal": REFUSES},
    "which wants another password": {"wants_another_password": True},
    "which has database 0 alone": {"has_one_database": True},
}


def _connected(side: Side, case: Sequence[Address]) -> Iterator[Seen]:
    """Connect to one Redis again and again, each time by other settings, and push where it does not refuse."""
    with ExitStack() as stack:
        listening: dict[str, FakeRedis] = {}
        for number, one in enumerate(case):
            if one.refusal not in listening:
                listening[one.refusal] = stack.enter_context(FakeRedis(**one.options))
            redis = listening[one.refusal]
            redis.seen.clear()
            how = _connect_and_push(side, redis, one)
            earlier = [other for other in case[:number] if other.refusal == one.refusal]
            where = f"{one!r}, after {earlier!r} at the same port" if earlier else f"{one!r}"
            yield Seen(f"connect, for {where}", how)
            yield Seen(
                f"who asked {where} for something (password, database) in connect and a push",
                sorted(map(repr, redis.seen)),
            )


def _left_open(side: Side, case: Sequence[Address]) -> Iterator[Seen]:
    """What a queue has opened is closed with it; what a `connect` that failed has opened, too."""
    for one in case:
        with FakeRedis(**one.options) as redis:
            how = _connect_and_push(side, redis, one)
            over = "when the JobQueue of connect is closed" if how == A_QUEUE else "when connect has failed"
            yield Seen(f"connections to {one!r} that are still open {over}", redis.left_open())


def _connect_and_push(side: Side, redis: FakeRedis, address: Address) -> str:
    """What `connect` gave; if that is a queue, it is pushed to, and closed."""
    world = side.redis_world
    try:
        queue = world.run(side.code.connect, settings_of(side, redis.port, address.password, address.number))
    except RedisError as error:
        return "an error that says that Redis " + (
            "is away (a ConnectionError or TimeoutError of redis-py)"
            if is_away(error)
            else "refuses (a ResponseError or AuthenticationError of redis-py, or the like)"
        )
    if hasattr(queue, "push"):
        world.closing(queue)
        with suppress(RedisError) if address.refusal else nullcontext():
            world.run(queue.push, Push(1).job)
        world.closes(queue)
    return A_QUEUE if is_queue(queue, side.code) else f"a {type(queue).__name__}"


A_QUEUE = "a JobQueue"


def _busy(side: Side, number: int) -> Iterator[Seen]:
    """A server pushes for all its clients at once, and over one queue."""
    world = side.redis_world
    # So many connections need their time on a machine that has much to do.
    with patch.object(redis_clients, "COMMAND_SECONDS", stretched(2)):
        queue = world.run(side.code.connect, world.settings)
        if not is_queue(queue, side.code):
            return
        world.closing(queue)
        jobs = [Entry(odd.task_id(one), "noop", Priority.HIGH) for one in range(number)]
        ends = world.ends_together([(queue.push, job) for job in jobs])
        world.closes(queue)
    where = f"{number} pushes at the same time over one queue of connect, while Redis is there"
    told = sorted({said(end) if isinstance(end, RedisError) else _ended(end) for end in ends})
    yield Seen(f"what comes of {where}", told)
    yield Seen(f"how many entries there are after {where}", len(world.entries("q:high")))


def _connected_in_vain(side: Side, case: str) -> Iterator[Seen]:
    """When to try again is for whoever calls: each try holds that one up."""
    with FakeRedis(hangs_up=True) as redis:
        yield Seen(f"connect, to a Redis that {case}", _connect_and_push(side, redis, Address(None, 0, case)))
        yield Seen(f"how often one connect asks a Redis that {case}", redis.askers)


def settings_of(side: Side, port: int, password: str | None, number: int = 0) -> Any:
    """The settings for a Redis on loopback."""
    return side.redis_world.settings.model_copy(
        update={
            "redis_host": "127.0.0.1",
            "redis_port": port,
            "redis_password": None if password is None else SecretStr(password),
            "redis_db": number,
        }
    )


# -- task 5


REDIS = ("is there", "is there", "is away", "refuses")
STORIES = (["is there"], ["is there", "is away", "is there"], ["is there", "refuses", "is there"])
JOB = NewJob("noop", Priority.HIGH, task_id=odd.VERSIONS[1])
OVERTAKEN = ("running", "cancelled", "succeeded")
PAYLOADS = ("{}", '{"a": 1}', '["é", "\\u00e9"]', "null", '"it\'s"', '{"%s": "%(a)s"}', '{"a": 1e999999999}')
"""The last one is JSON that the database can't hold."""


def _new_jobs() -> SearchStrategy[NewJob]:
    return st.builds(
        NewJob,
        type=st.sampled_from(odd.TYPES),
        priority=st.sampled_from(WORDS),
        payload_json=st.sampled_from(PAYLOADS),
        max_attempts=st.sampled_from((3, 1, 100)),
        task_id=st.sampled_from(odd.VERSIONS),
    )


def _submitted(side: Side, case: Sequence[tuple[NewJob, str]]) -> Iterator[Seen]:
    answers: list[Any] = []
    early: list[str] = []
    warned: list[bool] = []
    for number, (new, redis) in enumerate(case, 1):
        new = replace(
            new, task_id=odd.VERSIONS[number], idempotency_key=f"key {number}" if number % 2 else None
        )
        side.knows(new.task_id, f"job {number}")
        with _redis(side, redis, new), watched_log() as log:
            answers.append(_answer(side, new, early))
        if redis != "is there":
            warned.append(any(record.levelno >= logging.WARNING for record in log))
    what = "; then ".join(f"{_told(new)}, while Redis {redis}" for new, redis in case)
    yield Seen(f"what submit_job answered for {what}", answers)
    yield Seen(f"what was asked of Redis for a job before it was safe in the database, for {what}", early)
    yield replace_what(side.rows(), f"the table tasks after submit_job for {what}")
    yield Seen(f"what Redis holds after submit_job for {what}", entries(side))
    yield Seen(f"whether the log warns of each push that failed, for {what}", warned)


def _overtaken(side: Side, status: str) -> Iterator[Seen]:
    """A worker, or a CancelJob, is faster: the job has this status when `submit_job` hears from Redis."""
    found: Any = None

    def overtake() -> None:
        nonlocal found
        job = side.world.row(JOB.task_id)
        if found is None and job is not None:
            side.world.update(job, status)
            found = side.rows().value

    side.knows(JOB.task_id, "job 1")
    with side.world.after_redis(overtake):
        got = submitted(side, JOB)
    where = f"submit_job, whose job is {status} as soon as its entry is in Redis"
    yield Seen(f"what answers {where}", got)
    rows = side.rows().value
    yield Seen(f"the table tasks after {where}", "as the other one left it" if rows == found else rows)


def _told(new: NewJob) -> str:
    return f"a {new.priority} job of type {new.type!r} with payload {new.payload_json}"


def replace_what(seen: Seen, what: str) -> Seen:
    """The same, told in other words."""
    return replace(seen, what=what)


@contextmanager
def _redis(side: Side, how: str, new: NewJob) -> Iterator[None]:
    """While the block runs, Redis is so."""
    world, name = side.world, f"q:{new.priority}"
    _ = world.app  # connects while Redis is there
    if how == "is away":
        world.proxies["redis"].cut()
    kept = None
    if how == "refuses":
        kept = [world.redis.lpop(name) for _ in range(world.redis.llen(name))]
        world.redis.set(name, "not a list")
    try:
        yield
    finally:
        if how == "is away":
            world.proxies["redis"].mend()
        if kept is not None:
            world.redis.delete(name)
            if kept:
                world.redis.rpush(name, *kept)


def _answer(side: Side, new: NewJob, early: list[str]) -> Any:
    """What submit_job answered or refused. What it asked of Redis before the row was there is noted in `early`."""

    def look() -> None:
        if not side.world.sql("SELECT 1 FROM tasks WHERE task_id = %s", new.task_id):
            early.append(f"{side.plain(new.task_id)} was not in the table yet")

    with side.world.before_redis(look):
        return submitted(side, new)


def submitted(side: Side, new: NewJob, process: int = 0) -> Any:
    """The id that submit_job answers, by its name, or what else it did."""
    try:
        got = side.run("submit_job", new, process=process)
    except InvalidRequest as refused:
        return blamed([violation.field for violation in refused.violations])
    except RedisError as error:
        return f"{type(error).__module__}.{type(error).__name__}, raised"
    return side.plain(got) if isinstance(got, UUID) else f"{type(got).__name__}: {side.plain(got)!r}"


def entries(side: Side) -> dict[str, Any]:
    """What each list holds, newest first, as job, type and priority: how the bytes are written is for task 2."""
    found: dict[str, Any] = {}
    for key, held in _held(side.world.redis).items():
        found[key] = [_decoded(side, entry) for entry in held] if isinstance(held, list) else held
    return found


def _decoded(side: Side, entry: bytes) -> Any:
    with suppress(ValueError):
        fields = json.loads(entry)
        if isinstance(fields, dict):
            return side.plain(fields)
    return side.plain(entry)


@contextmanager
def watched_log() -> "Iterator[list[logging.LogRecord]]":
    """All that is logged while the block runs, at whatever level."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = records.append  # type: ignore[method-assign, assignment]
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield records
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


# -- task 6


@dataclass(frozen=True)
class Repeat:
    """A job that is there, and one that is handed in again."""

    status: str
    by: str
    first: tuple[str, Priority]
    again: tuple[str, Priority]
    process: int
    has_entry: bool

    def __repr__(self) -> str:
        type, priority = self.first
        type_again, priority_again = self.again
        where = ", in another process" if self.process else ""
        return (
            f"submit_job with the {self.by} of a {self.status} job ({priority}, type {type!r}) once more, now as "
            f"{priority_again}, type {type_again!r}{where}"
        )


KEY_BY = {"key": "once", "id": None, "id and key": "once", "id (and the key of job 9)": "twice"}
"""The key of a repeat, by what it has in common with what is there. The id decides, if both do."""


def _repeats() -> SearchStrategy[Repeat]:
    """Mostly the same again, as a client sends it that got no answer."""
    what = st.tuples(st.sampled_from(odd.TYPES), st.sampled_from(WORDS))

    def repeats(first: tuple[str, Priority]) -> SearchStrategy[Repeat]:
        return st.builds(
            Repeat,
            st.sampled_from(("queued", "queued", *map(str, Status))),
            st.sampled_from(tuple(KEY_BY)),
            st.just(first),
            st.just(first) | what,
            st.sampled_from((0, 1)),
            st.booleans(),
        )

    return what.flatmap(repeats)


def _repeated(side: Side, case: Repeat) -> Iterator[Seen]:
    type, priority = case.first
    columns = {"idempotency_key": "once", "max_attempts": 5}
    side.insert(Row("job 1", odd.VERSIONS[1], case.status, type, priority, columns))
    side.insert(Row("job 9", odd.VERSIONS[9], "queued", type, priority, {"idempotency_key": "twice"}))
    before = side.rows()
    new = NewJob(*case.again, idempotency_key=KEY_BY[case.by])
    new = replace(new, task_id=odd.VERSIONS[1]) if "id" in case.by else new
    got = submitted(side, new, case.process)
    yield Seen(f"what answers {case!r}", got)
    yield Seen(
        f"the table tasks after {case!r}",
        "as it was" if side.rows().value == before.value else side.rows().value,
    )
    yield Seen(f"the entries, told once each, after {case!r}", once_each(entries(side)))


def once_each(held: dict[str, Any]) -> dict[str, Any]:
    """How often an entry is there is open, for one too many does no harm."""
    return {
        name: list({repr(one): one for one in found}.values()) if isinstance(found, list) else found
        for name, found in held.items()
    }


def _keys(side: Side, case: Sequence[tuple[str, int, bool]]) -> Iterator[Seen]:
    """Submits with keys in two processes. Before some of them, a worker takes all that waits."""
    answers, told = [], []
    for key, process, is_taken in case:
        if is_taken:
            side.world.redis.flushdb()
        got = submitted(side, NewJob("noop", idempotency_key=key), process)
        answers.append(got)
        told.append(f"{key!r}{' (a worker took all entries before)' if is_taken else ''}")
    what = f"submit_job in two processes with the keys {', '.join(told)}"
    yield Seen(f"what answers {what}", answers)
    yield Seen(f"the rows after {what}", len(side.rows().value))
    held = once_each(entries(side))
    yield Seen(
        f"which jobs have entries after {what}",
        {name: sorted(map(repr, some)) for name, some in held.items()},
    )


@dataclass(frozen=True)
class Race:
    """Somebody else inserts the same job at the same time, and commits or does not."""

    by: str
    end: str
    priority: Priority

    def __repr__(self) -> str:
        return (
            f"submit_job ({self.priority}), while the INSERT of another client with the same {self.by} is not yet "
            f"committed, which then {self.end}"
        )


RACES: tuple[tuple[Any, ...], ...] = (("key", "id"), ("is committed", "is rolled back"), WORDS)


def _raced(side: Side, case: Race) -> Iterator[Seen]:
    same: dict[str, Any] = {"idempotency_key": "once"} if case.by == "key" else {}
    new = NewJob("noop", case.priority, **same)
    theirs = (
        {**same, "priority": case.priority}
        if case.by == "key"
        else {"task_id": new.task_id, "priority": case.priority}
    )
    world = side.world
    side.knows(new.task_id, "my id")
    with world.inserting(**theirs) as (task_id, lock):
        if task_id != new.task_id:
            side.knows(task_id, "the other's id")
        running = world.start(world.code.submit_job, new)
        lock.wait_for(running)
        lock.commit() if case.end == "is committed" else lock.roll_back()
        try:
            got = side.plain(running.result())
        except (NotImplementedError, Hang):
            raise
        except Exception as error:
            lines = str(error).splitlines() or [""]
            got = f"{type(error).__name__}: {lines[0]}, raised"
    yield Seen(f"what answers {case!r}", got)
    yield Seen(f"the rows after {case!r}", [row["task_id"] for row in side.rows().value])
    yield Seen(f"the entries, told once each, after {case!r}", once_each(entries(side)))


# -- task 7


FAILURES = (
    RedisConnectionError("Error 111 connecting to redis://:hunter2@10.0.0.7:6379. Connection refused."),
    RedisTimeoutError("Timeout reading from redis://:hunter2@10.0.0.7"),
    AuthenticationError("invalid username-password pair: hunter2"),
    ResponseError("OOM command not allowed, AUTH hunter2"),
    RedisError("hunter2"),
)
"""How redis-py may speak. What stands in an error is nobody's secret for sure."""


def _failed(side: Side, failure: RedisError) -> Iterator[Seen]:
    new = NewJob("noop", Priority.LOW, idempotency_key="once", task_id=odd.VERSIONS[1])
    side.knows(new.task_id, "job 1")

    def fail() -> None:
        raise failure.with_traceback(None)

    with side.world.before_redis(fail), watched_log() as log:
        got = submitted(side, new)
    where = f"submit_job, where Redis fails with {type(failure).__name__}({str(failure)!r})"
    yield Seen(f"what answers {where}", got)
    said = [record for record in log if record.levelno >= logging.WARNING]
    yield Seen(f"whether the log warns after {where}", bool(said))
    yield Seen(
        f"whether a warning names the job after {where}", any(str(new.task_id) in shown(one) for one in said)
    )
    yield Seen(
        f"whether a warning carries a traceback after {where}",
        any(one.exc_info or one.stack_info for one in said),
    )
    secrets = ["hunter2", side.world.settings.redis_address()["password"] or "hunter2"]
    yield Seen(f"passwords in the log after {where}", passwords(map(shown, log), secrets))


def shown(record: logging.LogRecord) -> str:
    """All that any formatter could write of a record."""
    text = logging.Formatter().format(record)
    return f"{text} {' '.join(str(value) for value in record.__dict__.values())}"


FAILS: dict[str, dict[str, Any]] = {
    "that refuses": {"refusal": REFUSES},
    "that wants another password": {"wants_another_password": True},
    "that hangs up": {"hangs_up": True},
}


def _failed_with_a_password(side: Side, case: tuple[str, str]) -> Iterator[Seen]:
    secret, how = case
    with FakeRedis(**FAILS[how]) as redis, watched_log() as log:
        texts: list[str] = []
        try:
            side.redis_world.run(side.code.connect, settings_of(side, redis.port, secret))
        except RedisError as error:
            texts = list(texts_of(error))
    where = f"connect, with the password {secret!r}, to a Redis {how}"
    yield Seen(f"what the error of {where} shows", passwords(texts, [secret]))
    yield Seen(f"what the log of {where} shows", passwords(map(shown, log), [secret]))
