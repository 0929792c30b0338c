"""The differential judge: generated inputs go to the code under test and to the reference, and what is seen compared.

A list of wrong answers is never long enough. The reference is right, so it is the oracle: each input is played twice,
in two worlds that know nothing of each other, and all that can be seen from outside is put side by side. The first
thing that differs, for the smallest input that shows it, becomes the sentence.

What each task's inputs are, and what its contract leaves open, stands in `workbook/judges/`, one file a chapter:

    def task_3(judge):
        judge.compare(inputs, play)

    def play(side, case):                       # once in each world
        side.insert(case.row)
        yield side.call("GetJob", job_id=case.asked)
        yield side.rows()

`inputs` is a strategy of hypothesis, with a fixed seed: the same inputs each time, on each machine. Worlds are emptied
and not made anew between inputs, so what code keeps from an earlier input shows, too.
"""

import dataclasses
import importlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import zip_longest
from typing import Any, NoReturn
from uuid import UUID

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.errors import HypothesisException
from hypothesis.internal.conjecture import providers
from hypothesis.internal.conjecture.providers import HypothesisProvider
from hypothesis.strategies import SearchStrategy
from scheduler.errors import InvalidRequest
from scheduler.v1 import scheduler_pb2 as pb

from workbook.book import Chapter
from workbook.diagnose import diagnose
from workbook.loader import REFERENCE, Code
from workbook.loop import Hang
from workbook.patience import stretched
from workbook.redis_world import RedisWorld
from workbook.sandbox import Servers
from workbook.stream import RpcFailed
from workbook.world import Running, World, opened

# Hypothesis takes constants for inputs from the modules that happen to be loaded. Ours must be the same each time.
HypothesisProvider._local_constants = providers.Constants()  # type: ignore[assignment, attr-defined, method-assign]

SEED = 11
"""Hypothesis would else take one from the text of what it calls, and any change there would change all inputs."""
EXAMPLES = 25
SHRINKS = 150
"""How often at most a difference is played again to make its input smaller."""
LONGEST_SECONDS = 20.0
"""How long the code under test may take for all inputs of a task; right code needs three at most."""

Play = Callable[["Side", Any], Iterator["Seen"]]


@dataclass(frozen=True)
class Seen:
    """One thing that can be seen from outside: what it is, in words, and what it was."""

    what: str
    value: Any


class Side:
    """One of the two worlds, as a `play` uses it. It tells what it sees in a form that can be compared.

    Ids that the code under test has made are told by their order, and a moment within the play as "now".
    """

    def __init__(
        self,
        code: Code,
        worlds: Callable[[], Sequence[World]],
        redis_world: Callable[[], RedisWorld] | None = None,
    ) -> None:
        self.code = code
        self._open_worlds = worlds
        self._open_redis_world = redis_world
        self._is_open = False
        self.offsets = {"now": timedelta(0), "in a minute": timedelta(minutes=1)}
        """The moments that have a name, by how far they are ahead of now: `{"now + lease": timedelta(seconds=15)}`."""
        self._names: dict[str, str] = {}
        self._new: dict[str, str] = {}
        self._began = datetime.now(UTC)
        self._asked_at = time.monotonic()

    @cached_property
    def worlds(self) -> Sequence[World]:
        """The processes of this world, opened when first used: they share a database and a Redis, and nothing else."""
        self._is_open = True
        return self._open_worlds()

    @property
    def world(self) -> World:
        """The first process."""
        return self.worlds[0]

    @cached_property
    def redis_world(self) -> RedisWorld:
        """A Redis without a database beside it, opened when first used: for pieces that need no more."""
        assert self._open_redis_world is not None
        return self._open_redis_world()

    def begin(self) -> None:
        """Empty the world for the next input."""
        self._names.clear()
        self._new.clear()
        if "redis_world" in vars(self):
            self.redis_world.redis.flushdb()
        if self._is_open:
            self.world.redis.flushdb()
        self._asked_at = time.monotonic()
        self._began = self.world.empty() if self._is_open else datetime.now(UTC)

    def check(self) -> None:
        """Raise what a piece has raised by mistake in a call that this play did not wait for."""
        # No more than that: of an error that nobody fetched, asyncio tells when the garbage collector finds it, which
        # may be while another input is played.
        if self._is_open:
            for world in self.worlds:
                world.check_calls()

    def value(self, what: str, function: Callable[..., Any], *args: Any) -> Seen:
        """What a plain function answers, or which field it blames."""
        try:
            return Seen(what, self.plain(function(*args)))
        except InvalidRequest as refused:
            return Seen(what, blamed([violation.field for violation in refused.violations]))

    def insert(self, *rows: "Row") -> None:
        """Rows that somebody else has written, at one moment."""
        for row in rows:
            self.knows(row.task_id, row.name)
        self.world.insert_all(
            {
                "status": one.status,
                "task_id": one.task_id,
                "type": one.type,
                "priority": one.priority,
                **one.columns,
            }
            for one in rows
        )

    def change(self, row: "Row", status: str, **columns: Any) -> None:
        """Somebody else writes a new version of the row, if it is still there."""
        if job := self.world.row(row.task_id):
            self.world.update(job, status, **columns)

    def call(self, method: str, process: int = 0, **fields: Any) -> Seen:
        """What a client sees of an RPC: the answer, or the status with the fields that it blames."""
        try:
            value = self.plain(self.worlds[process % len(self.worlds)].call(method, **fields))
        except RpcFailed as failed:
            value = refusal(failed)
        return Seen(f"{method}({told(method, fields)})", value)

    def start(self, piece: str, *args: Any, process: int = 0) -> Running:
        """Begin a piece of the code under test, in one of its processes: `.result()` waits for its end."""
        world = self.worlds[process % len(self.worlds)]
        return world.start(getattr(world.code, piece), *args)

    def run(self, piece: str, *args: Any, process: int = 0) -> Any:
        """What a piece of the code under test returns, as it is. It gets `app` first."""
        return self.start(piece, *args, process=process).result()

    def rows(self, table: str = "tasks", without: Iterable[str] = ()) -> Seen:
        """All rows, in an order that does not depend on when they were written."""
        found = self.world.sql(f"SELECT * FROM {table} ORDER BY task_id")
        plain = [{k: self.plain(v) for k, v in row.items() if k not in set(without)} for row in found]
        return Seen(f"the table {table}", sorted(plain, key=lambda row: str(row.get("task_id"))))

    def redis(self) -> Seen:
        """All keys, and what they hold."""
        redis = self.world.redis
        keys = {key.decode(): self._held(redis, key) for key in sorted(redis.keys("*"))}
        return Seen("what Redis holds", keys)

    def plain(self, value: Any) -> Any:
        """A value in a form that can be compared with the other side's, and shown."""
        match value:
            case Message():
                return self.plain(MessageToDict(value, preserving_proto_field_name=True))
            case Mapping():
                return {str(key): one if key in OPAQUE else self.plain(one) for key, one in value.items()}
            case list() | tuple():
                return [self.plain(one) for one in value]
            case datetime():
                return self.moment(value)
            case UUID():
                return self._name(str(value))
            case bytes():
                return self.plain(value.decode("utf-8", "backslashreplace"))
            case str() if TIME.fullmatch(value):
                return self.moment(datetime.fromisoformat(value))
            case str():
                return ID.sub(lambda found: self._name(found[0]), value)
            case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
                return {one.name: self.plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
            case _:
                return value

    def moment(self, value: datetime) -> str:
        """A time as text; one within this play as "now", one of `offsets` by its name."""
        value = value.astimezone(UTC) if value.tzinfo else value
        if value.tzinfo:
            now = self._latest()
            for name, offset in self.offsets.items():
                if self._began <= value - offset <= now:
                    return name
        return value.isoformat()

    def knows(self, task_id: UUID, name: str) -> None:
        """This id is the input's own, and is told by a name."""
        self._names[str(task_id)] = name

    def _name(self, text: str) -> str:
        """The name of an id. One that nobody has given was made by the code, and is told by its order."""
        text = text.lower()
        return self._names.get(text) or self._new.setdefault(text, f"new id {len(self._new) + 1}")

    def _held(self, redis: Any, key: bytes) -> Any:
        match redis.type(key):
            case b"list":
                return [self.plain(one) for one in redis.lrange(key, 0, -1)]
            case b"zset":
                return sorted(self.plain(one) for one in redis.zrange(key, 0, -1))
            case b"string":
                return self.plain(redis.get(key))
            case kind:
                return kind.decode()

    def clock(self) -> datetime:
        """The database's time; where no database is used, this machine's."""
        if not self._is_open:
            return datetime.now(UTC)
        [row] = self.world.sql("SELECT clock_timestamp() AS now")
        now: datetime = row["now"]
        return now

    def _latest(self) -> datetime:
        """What `clock` would say at most, without asking the database for each time that is looked at."""
        return self._began + timedelta(seconds=time.monotonic() - self._asked_at)


@dataclass(frozen=True)
class Row:
    """A row of `tasks` that an input begins with."""

    name: str
    task_id: UUID
    status: str
    type: str = "noop"
    priority: str = "default"
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        columns = "".join(f", {name} {_brief(value)}" for name, value in self.columns.items())
        return f"{self.name} ({self.status}, {self.priority}, {self.type!r}{columns})"


def _brief(value: Any) -> str:
    return value.astimezone(UTC).strftime("%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else repr(value)


OPAQUE = ("next_page_token",)
"""What a client sends back as it came."""
ID = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3}|\.\d{6})?(?:Z|[+-]\d\d:\d\d)")


def refusal(failed: RpcFailed) -> str:
    """A status and the fields that it blames. What its sentence says is open."""
    return blamed(failed.fields) if failed.fields else failed.code.name


def blamed(fields: Sequence[str]) -> str:
    """A refusal that names fields."""
    return f"INVALID_ARGUMENT, which blames {' and '.join(fields)}"


def told(method: str, fields: Mapping[str, Any]) -> str:
    """The arguments of a call, as a person would write them: a number of an enum by its name."""
    service = pb.DESCRIPTOR.services_by_name["SchedulerService"]
    types = service.methods_by_name[method].input_type.fields_by_name

    def text(name: str, value: Any) -> str:
        enum = types[name].enum_type if name in types else None
        known = enum.values_by_number.get(value) if enum and isinstance(value, int) else None
        return known.name if known else repr(str(value) if isinstance(value, UUID) else value)

    return ", ".join(f"{name}={text(name, value)}" for name, value in fields.items())


@dataclass(frozen=True)
class Difference:
    """What a learner is told."""

    size: int
    sentence: str
    error: BaseException | None = None

    def speak(self) -> NoReturn:
        """Fail with the sentence. An error of the learner's keeps its way, so that the report shows their own line."""
        trace = self.error.__traceback__ if self.error else None
        raise AssertionError(self.sentence).with_traceback(trace) from None


class Differs(Exception):
    """For hypothesis: this input shows a difference."""


@dataclass
class Oracle:
    """What the reference shows for the inputs of one comparison: it is right, and so the same each time.

    Who judges many answers by the same inputs keeps it, and neither makes the inputs nor plays the reference again.
    """

    cases: list[Any] = field(default_factory=list)
    """The inputs of a comparison that found no difference, each once."""
    shows: dict[str, list[Seen]] = field(default_factory=dict)
    """By the input with all its fields."""


Oracles = dict[tuple[str, str, int], Oracle]
"""By the inputs' module, the test, and the number of the comparison in it."""


@dataclass
class Judge:
    """Compares the code under test with the reference, on the inputs of one task."""

    mine: Side
    theirs: Side
    inputs: Any
    """The chapter's module of `workbook.judges`."""
    test: str = ""
    oracles: Oracles = field(default_factory=dict)
    _known: dict[str, Difference | None] = field(default_factory=dict)
    _comparisons: int = 0
    _seconds: float = 0.0
    """What the code under test has taken so far."""
    _slowest: tuple[float, str] = (0.0, "")
    _end: BaseException | None = None

    def task(self, number: int) -> None:
        """Judge a task as its inputs say."""
        getattr(self.inputs, f"task_{number}")(self)

    def _next_oracle(self) -> Oracle:
        self._comparisons += 1
        key = (getattr(self.inputs, "__name__", ""), self.test, self._comparisons)
        return self.oracles.setdefault(key, Oracle())

    def each(self, cases: Iterable[Any], play: Play) -> None:
        """Play each of these in both worlds, in their order: for inputs so few that all of them can be told."""
        oracle = self._next_oracle()
        for case in cases:
            difference = self._played(play, case, oracle)
            if self._end is not None:
                raise self._end
            if difference is not None:
                difference.speak()
            self._check_time()

    def compare(self, inputs: SearchStrategy[Any], play: Play, examples: int = EXAMPLES) -> None:
        """Play each input in both worlds. Raises `AssertionError` with a sentence for the smallest that differs."""
        self._known.clear()
        oracle = self._next_oracle()
        cases: dict[str, Any] = {}
        room = examples + SHRINKS

        def property(case: Any) -> None:
            nonlocal room
            if self._end is not None:
                return
            key = whole(case)
            if key not in self._known:
                if room <= 0 or self._is_late:
                    return
                room -= 1
                self._known[key] = self._played(play, case, oracle)
            if self._known[key] is not None:
                raise Differs
            cases.setdefault(key, case)

        quietly = settings(
            max_examples=examples,
            database=None,
            derandomize=True,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )

        def agrees(case: Any) -> bool:
            with suppress(Differs):
                property(case)
                return True
            return False

        known_to_differ: list[Difference] = []
        if not (oracle.cases and all(map(agrees, oracle.cases))):
            # From the beginning: the sentence must be the one that a session without an oracle would say.
            known_to_differ = [difference for difference in self._known.values() if difference]
            self._known.clear()
            room = examples + SHRINKS
            with suppress(Differs, HypothesisException):  # flaky or not: what differed was seen
                seed(SEED)(quietly(given(inputs)(property)))()
        if self._end is not None:
            raise self._end
        found = [difference for difference in self._known.values() if difference] or known_to_differ
        if found:
            # Of two that are as short, the later: it is what the other was made smaller to.
            min(reversed(found), key=lambda difference: difference.size).speak()
        self._check_time()
        oracle.cases = list(cases.values())

    def _check_time(self) -> None:
        if self._is_late:
            seconds, case = self._slowest
            raise Hang(
                f"the inputs of this test took your code {self._seconds:.0f} s, and there are more of them; right code "
                f"needs 3 s for all. The slowest took {seconds:.1f} s: {case}"
            )

    @property
    def _is_late(self) -> bool:
        return self._seconds > min(stretched(LONGEST_SECONDS), 3 * LONGEST_SECONDS)

    def _played(self, play: Play, case: Any, oracle: Oracle) -> Difference | None:
        size = len(repr(case))
        began = time.monotonic()
        mine = self._all_seen(self.mine, play, case)
        seconds = time.monotonic() - began
        self._seconds += seconds
        self._slowest = max(self._slowest, (seconds, repr(case)))
        if self._end is not None:
            return None
        key = whole(case)
        theirs = oracle.shows.get(key)
        if theirs is None:
            theirs = oracle.shows[key] = self._all_seen(self.theirs, play, case)
        assert not isinstance(theirs[-1].value, Raised), f"{case!r}: the reference raised {theirs[-1].value}"
        # What came too much counts, too: the background may have failed when all had been seen.
        for got, wanted in zip_longest(mine, theirs):
            one = wanted or Seen(got.what, ABSENT)
            value = got.value if got else ABSENT
            if isinstance(value, Raised):
                return Difference(size, value.sentence(one), value.error)
            if value != one.value:
                what, here, there = narrowed(one.what, value, one.value)
                return Difference(size, diagnose(what, here, there))
        return None

    def _all_seen(self, side: Side, play: Play, case: Any) -> list[Seen]:
        seen: list[Seen] = []
        side.begin()
        try:
            seen += play(side, case)  # what was seen before an error stays
            side.check()
        except (NotImplementedError, Hang) as error:
            self._end = error
        except Exception as error:
            seen.append(Seen(f"for {case!r}", Raised(error)))
        return seen


@dataclass(frozen=True)
class Raised:
    """What the code under test raised by mistake."""

    error: Exception

    def sentence(self, wanted: Seen) -> str:
        return f"{wanted.what}: expected {wanted.value!r}, and your code raised {said(self.error)}"


def said(error: BaseException) -> str:
    """The kind of an error, and the first line of what it says, if it says anything."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def whole(case: Any) -> str:
    """An input with all its fields: its own text is for people, and may leave out what has made no difference yet."""
    if dataclasses.is_dataclass(case) and not isinstance(case, type):
        fields = ", ".join(whole(getattr(case, one.name)) for one in dataclasses.fields(case))
        return f"{type(case).__name__}({fields})"
    return f"({', '.join(map(whole, case))})" if isinstance(case, list | tuple) else repr(case)


def narrowed(what: str, here: Any, there: Any) -> tuple[str, Any, Any]:
    """The first part of two values that differs, and where it is."""
    match here, there:
        case dict(), dict():
            for key in [*there, *(key for key in here if key not in there)]:
                if here.get(key, ABSENT) != there.get(key, ABSENT):
                    return narrowed(f"{what}, {key}", here.get(key, ABSENT), there.get(key, ABSENT))
        case list(), list() if len(here) == len(there):
            for number, (mine, theirs) in enumerate(zip(here, there, strict=True), 1):
                if mine != theirs:
                    return narrowed(f"{what}, number {number}", mine, theirs)
    return what, here, there


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


class _Open:
    """Equal to anything."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


ABSENT = _Absent()
OPEN = _Open()
"""What a play tells where the contract leaves open what is seen, for an answer of this design."""


@contextmanager
def judging(
    code: Code,
    chapter: Chapter,
    task: int,
    servers: Callable[[str], Servers],
    processes: int,
    changes: dict[str, Any],
    can_go_away: Sequence[str],
    oracles: Oracles,
) -> Iterator[Judge]:
    """A judge with both its worlds, for one test."""
    with ExitStack() as stack:

        def side(*codes: Code) -> Side:
            def worlds() -> Sequence[World]:
                own = stack.enter_context(servers("workbook_servers").sandbox(**changes))
                return [stack.enter_context(opened(one, chapter, task, own, can_go_away)) for one in codes]

            def redis_world() -> RedisWorld:
                world = RedisWorld(codes[0], stack.enter_context(servers("workbook_redis").redis_sandbox()))
                stack.callback(world.close)
                return world

            return Side(codes[0], worlds, redis_world)

        mine = side(code, *(code.in_another_process(number) for number in range(1, processes)))
        theirs = side(Code(chapter, REFERENCE))
        inputs = importlib.import_module(f"workbook.judges.{chapter.name[3:]}")
        yield Judge(mine, theirs, inputs, f"task {task}", oracles)
