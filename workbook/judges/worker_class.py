"""What the class `Worker` does in time: chapter 06, tasks 8 to 10, 14 and 15.

Its pieces are played here, without a database: what `take` brings, whom `claim` loses to, which handler fails and how,
says a script; what the worker asked for, ran and finished is noted. What is judged holds for each right design: so
each script is played once, and not compared with the reference, which only has to pass like any other.

Open, and accepted: how long a pause is, in which order jobs are started and finished, whether entries are taken one
by one, whether a slot is free when its handler has ended or only when its finish is written, whether a finish that
failed is tried again, whether a take's failure is logged each time, what becomes of a piece that raises what is no
`Exception`, whether a lost job's finish is tried (the fence refuses it), what a `give_back` that raises comes to, how
long the worker waits for a handler that goes on tidying up, and, after `stop`, whether an entry that the last take
brought is run or pushed back.
"""

import asyncio
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from redis.exceptions import ConnectionError as RedisConnectionError
from scheduler.database import Unavailable
from scheduler.entry import Entry
from scheduler.jobs import Job, PermanentError, Priority, Status
from scheduler.worker.one_job import Outcome

from workbook.diagnose import diagnose
from workbook.hurry import FACTOR, hurried
from workbook.judge import Judge, Side
from workbook.judges import odd
from workbook.loop import Hang
from workbook.patience import stretched
from workbook.world import WorkerUnderTest, files_of

# -- what a script is made of: an answer of `take`, or an entry and what becomes of its job

NOTHING = "nothing came"
AWAY = "take raised ConnectionError"
TAKE_BUG = "take raised RuntimeError"

BEAT = "heartbeat raised"

ENDS = "a job that succeeds"
RETRIES = "a job that fails"
FAILS = "a job that fails for good"
HANDLER_BUG = "a job whose run_handler raises RuntimeError"
DECIDE_BUG = "a job whose decide raises RuntimeError"
DELAY_BUG = "a job whose backoff_delay raises RuntimeError"
FINISH_BUG = "a job whose finish raises RuntimeError"
FINISH_AWAY = "a job whose first finish raises Unavailable"
TOO_LATE = "a job whose finish answers False"
RIVAL = "an entry that another worker claimed first"
TWICE = "an entry that came twice"
CLAIM_AWAY = "an entry whose claim raises Unavailable"
CLAIM_BUG = "an entry whose claim raises RuntimeError"
HOLDS = "a job that runs until it is told"
TIDIES = "a job that tidies up for a while when it is cancelled"
STUBBORN = "a job that fails when it is cancelled"
LINGERS = "a job that tidies up until it is told when it is cancelled"

ANSWERS = (NOTHING, AWAY, TAKE_BUG)
BUGS = (HANDLER_BUG, DECIDE_BUG, DELAY_BUG, FINISH_BUG)
"""Each is the failure of one job, and the log must have it."""
FAULTS = (AWAY, TAKE_BUG, CLAIM_AWAY, CLAIM_BUG, BEAT)
"""Each is a failure of a turn, and the log must have the first at least."""
KINDS = (
    ENDS,
    NOTHING,
    RIVAL,
    TWICE,
    RETRIES,
    FAILS,
    TOO_LATE,
    AWAY,
    CLAIM_AWAY,
    *BUGS,
    FINISH_AWAY,
    TAKE_BUG,
    CLAIM_BUG,
)
OUTCOMES = {ENDS: Status.SUCCEEDED, TWICE: Status.SUCCEEDED, RETRIES: Status.RETRY, FAILS: Status.FAILED}
DELAY = 7.25
BESIDE_A_LONG_ONE = [
    ((HOLDS, *[ENDS] * 4), 2),
    ((ENDS, HOLDS, HANDLER_BUG, RETRIES, RIVAL, ENDS, FAILS, ENDS), 2),
    ((ENDS, HOLDS, ENDS, RETRIES, ENDS, FINISH_BUG, ENDS, ENDS), 3),
]
ONE_GRACE = 0.1
LONG = 600
"""A grace that no test waits for: the clock jumps."""


def task_8(judge: Judge) -> None:
    for script in [(kind, kind) for kind in KINDS] + mixtures(4, 3):
        with played(judge.mine, script, 1) as bench:
            _goes_on(bench, (ENDS, RETRIES))
            _ended_once(bench)
            _waited_with_await(bench)
            _logged(bench)
    moments = [
        ("take", (ENDS,)),
        ("claim", (ENDS,)),
        ("run_handler", (ENDS,)),
        ("", (AWAY,)),
        ("", (TAKE_BUG,)),
    ]
    for piece, script in moments:
        # A worker that pauses after each of these is hardly ever anywhere else.
        with played(judge.mine, script * 1000 if not piece else script, 1, Stopped, held=piece) as bench:
            there = f"while {piece} was under way" if piece else "in the pause after such an error"
            bench.told = f"{words(script)}, and run was cancelled {there}"
            _ends_when_cancelled(bench)


def task_9(judge: Judge) -> None:
    scripts = [((kind,) * (pool + 1), pool) for pool in (1, 2) for kind in KINDS]
    scripts += [(script, 3) for script in mixtures(5, 9)]
    for script, pool in scripts:
        with played(judge.mine, script, pool) as bench:
            _has_all_its_slots(bench)
            _ended_once(bench)
            _logged(bench)
    for script, pool in BESIDE_A_LONG_ONE:
        with played(judge.mine, script, pool) as bench:
            _others_go_on(bench)
            _ended_once(bench)


def task_10(judge: Judge) -> None:
    moments = [("take", kind, 1) for kind in (NOTHING, ENDS, RIVAL, AWAY, TAKE_BUG, CLAIM_BUG, HANDLER_BUG)]
    moments += [("claim", kind, 2) for kind in (ENDS, RIVAL, CLAIM_AWAY)]
    moments += [("run_handler", kind, pool) for kind in (ENDS, RETRIES, HANDLER_BUG) for pool in (1, 2)]
    moments += [("finish", kind, pool) for kind in (ENDS, FINISH_BUG, TOO_LATE) for pool in (1, 2)]
    for piece, kind, pool in moments:
        with played(judge.mine, (kind,), pool, Stopped, held=piece) as bench:
            bench.told += f", and stop was called while {piece} was under way"
            _stops(bench)
    with played(judge.mine, (ENDS, HOLDS), 2, Stopped, held="finish") as bench:
        bench.told += ", and stop was called while the first was being finished"
        _stops(bench)
    with played(judge.mine, (AWAY,), 1, Stopped) as bench:
        bench.told += ", and then stop was called"
        _stops(bench)
    with played(judge.mine, (ENDS,), 1, NotBegun) as bench:
        bench.told += ", and stop was called before run had its first turn"
        _stops_at_once(bench)


def task_14(judge: Judge) -> None:
    cases: list[tuple[tuple[str, ...], set[int], tuple[type[Exception], ...]]] = [
        ((HOLDS,), {0}, ()),
        ((HOLDS, HOLDS), {1}, ()),
        ((TIDIES, HOLDS), {0}, ()),
        ((STUBBORN, HOLDS), {0}, ()),
        ((HOLDS, HOLDS, HOLDS), {0, 2}, ()),
        ((HOLDS, TIDIES, STUBBORN), {0, 1, 2}, ()),
        *(((HOLDS, HOLDS), {0}, (fault,) * 2) for fault in (Unavailable, RuntimeError, TimeoutError)),
    ]
    for script, lost, faults in cases:
        with played(judge.mine, script, len(script), Leased, faults=faults) as bench:
            _gives_up_what_is_lost(bench, lost)
            _ended_once(bench)
            _logged(bench)
    with played(judge.mine, (HOLDS,), 2, Leased) as bench:
        _spares_what_began_meanwhile(bench)
    with played(judge.mine, (LINGERS, HOLDS), 2, Leased) as bench:
        _lets_it_tidy_up(bench)


def drain(judge: Judge) -> None:
    """The class's part of task 15."""
    cases: list[tuple[tuple[str, ...], set[int]]] = [
        ((HOLDS,), set()),
        ((TIDIES,), set()),
        ((HOLDS, HOLDS), {1}),
        ((STUBBORN, HOLDS), set()),
        ((HOLDS, TIDIES, HOLDS), set()),
    ]
    for script, lost in cases:
        with played(judge.mine, script, len(script), Leased, grace=stretched(0.6)) as bench:
            _gives_back(bench, lost)
    with played(judge.mine, (HOLDS, HOLDS), 2, Leased, grace=1200) as bench:
        _gives_nothing_back(bench)
    with played(judge.mine, (ENDS,), 1, Leased, held="finish", grace=LONG) as bench:
        _cuts_no_finish(bench)
    with played(judge.mine, (LINGERS,), 1, Leased, grace=stretched(0.6)) as bench:
        _leaves_what_lingers(bench)
    with played(judge.mine, (HOLDS,) * 8, 8, Leased, hurries=False, grace=ONE_GRACE) as bench:
        _waits_for_all_at_once(bench)


def mixtures(number: int, length: int) -> list[tuple[str, ...]]:
    """Scripts of everything that can happen, the same in each run."""
    chance = random.Random(6)
    return [tuple(chance.choices(KINDS, k=length)) for _ in range(number)]


# -- the pieces, played


class Bench:
    """A worker whose pieces are played here, and all that it did with them."""

    def __init__(self, side: Side, script: Iterable[str], pool: int, **settings: Any) -> None:
        self.world = side.world
        self.pool = pool
        self.told = words(script)
        self.script = deque(script)
        self.kinds: dict[UUID, str] = {}
        self.given: Counter[UUID] = Counter()
        """Entries that a take brought, and that no claim has seen."""
        self.asked = 0
        """How many entries the takes that are under way may bring."""
        self.takes = 0
        self.too_many: tuple[int, int] | None = None
        """The first take that asked for more than could be started: its limit, and how many slots were free."""
        self.odd_limit: Any = None
        self.lost: set[UUID] = set()
        self.claims = 0
        """How many claims are under way."""
        self.claimed: list[UUID] = []
        self.waiting: set[UUID] = set()
        """Jobs that were claimed, and whose handler has not ended."""
        self.started: list[UUID] = []
        self.running: set[UUID] = set()
        self.most = 0
        self.cancelled: list[UUID] = []
        self.finishing: set[UUID] = set()
        self.finished: list[tuple[UUID, Outcome]] = []
        self.delays: list[tuple[Any, ...]] = []
        self.failed: Counter[str] = Counter()
        self.stood_still: float | None = None
        """For how many seconds nothing else could run between a take that failed and the next."""
        self.records: list[logging.LogRecord] = []
        self.over = asyncio.Event()
        self._failed_at: dict[Any, float] = {}
        """When a take failed, by its task, as long as the loop has not turned since."""
        self._tried: set[UUID] = set()
        self._decided = ""
        settings = {
            "worker_pool_size": pool,
            "retry_base_seconds": 7,
            "retry_cap_seconds": 70,
            "shutdown_grace_seconds": 1200,  # hurried: a minute
            **settings,
        }
        app = self.world.app
        self.app = replace(
            app,
            settings=app.settings.model_copy(update=settings),
            parts=replace(app.parts, **self.pieces()),
        )
        self.worker = self.begins(side.code.Worker(self.app))

    def begins(self, worker: Any) -> WorkerUnderTest:
        """The worker at work."""
        return WorkerUnderTest(self.world, worker)

    def pieces(self) -> dict[str, Any]:
        """What the worker finds in `app.parts`."""
        names = (
            "take",
            "claim",
            "run_handler",
            "decide",
            "backoff_delay",
            "finish",
            "heartbeat",
            "give_back",
        )
        return {name: getattr(self, name) for name in names}

    async def take(self, app: Any, limit: Any) -> list[Entry]:
        self.takes += 1
        task = asyncio.current_task()
        if (failed_at := self._failed_at.pop(task, None)) is not None and self.stood_still is None:
            self.stood_still = time.monotonic() - failed_at
        if not isinstance(limit, int) or limit < 1:
            self.odd_limit = limit if limit is not None else "None"
            limit = 1
        free = self.pool - self.asked - self.given.total() - len(self.waiting)
        if limit > free and self.too_many is None:
            self.too_many = (limit, free)
        self.asked += limit
        try:
            return await self._brought(limit)
        finally:
            self.asked -= limit

    async def _brought(self, limit: int) -> list[Entry]:
        if not self.script:
            await asyncio.sleep(0.004)
        if not self.script:
            return []
        if self.script[0] in ANSWERS:
            answer = self.script.popleft()
            if answer != NOTHING:
                self._fails(answer, self._until_the_loop_turns)
            return []
        entries: list[Entry] = []
        while self.script and self.script[0] not in ANSWERS and len(entries) < limit:
            entries += self.entries(self.script.popleft())
        self.given.update(entry.task_id for entry in entries)
        return entries

    def entries(self, kind: str) -> list[Entry]:
        task_id = odd.task_id(len(self.kinds) + 1)
        self.kinds[task_id] = kind
        return [Entry(task_id, "noop", Priority.DEFAULT)] * (2 if kind == TWICE else 1)

    def _until_the_loop_turns(self) -> None:
        task = asyncio.current_task()
        self._failed_at[task] = time.monotonic()
        asyncio.get_running_loop().call_soon(self._failed_at.pop, task, None)

    def _fails(self, kind: str, before: Callable[[], None] = lambda: None) -> None:
        self.failed[kind] += 1
        before()
        if kind == AWAY:
            raise RedisConnectionError("Redis is away (says this test)")
        if kind in (CLAIM_AWAY, FINISH_AWAY):
            raise Unavailable("the database is away (says this test)")
        raise RuntimeError(f"a bug (says this test): {kind}")

    async def claim(self, app: Any, entries: Iterable[Entry]) -> list[Job]:
        ids = [entry.task_id for entry in entries]
        self.given.subtract(ids)
        self.claims += 1
        try:
            return await self._claimed(ids)
        finally:
            self.claims -= 1

    async def _claimed(self, ids: list[UUID]) -> list[Job]:
        await asyncio.sleep(0)
        for task_id in ids:
            if self.kinds[task_id] in (CLAIM_AWAY, CLAIM_BUG):
                self._fails(self.kinds[task_id])
        ours = [one for one in dict.fromkeys(ids) if self.kinds[one] != RIVAL and one not in self.claimed]
        self.claimed += ours
        self.waiting |= set(ours)
        return [a_job(task_id) for task_id in ours]

    async def run_handler(self, app: Any, job: Job) -> Exception | None:
        kind = self.kinds[job.task_id]
        self.started.append(job.task_id)
        self.running.add(job.task_id)
        self.most = max(self.most, len(self.running))
        try:
            return await self.handler(kind, job)
        except asyncio.CancelledError:
            self.cancelled.append(job.task_id)
            raise
        finally:
            self.running.discard(job.task_id)
            self.waiting.discard(job.task_id)

    async def handler(self, kind: str, job: Job) -> Exception | None:
        await (self.over.wait() if kind == HOLDS else asyncio.sleep(0))
        if kind == HANDLER_BUG:
            self._fails(kind)
        if kind in (RETRIES, DELAY_BUG):
            return RuntimeError("no luck")
        return PermanentError("no such address") if kind == FAILS else None

    def decide(self, job: Job, error: Exception | None) -> Outcome:
        self._decided = self.kinds[job.task_id]
        if self._decided == DECIDE_BUG:
            self._fails(DECIDE_BUG)
        if error is None:
            return Outcome(Status.SUCCEEDED)
        return Outcome(Status.FAILED if isinstance(error, PermanentError) else Status.RETRY, str(error))

    def backoff_delay(self, attempt: int, base: float, cap: float) -> float:
        if self._decided == DELAY_BUG:
            self._fails(DELAY_BUG)
        self.delays.append((attempt, base, cap))
        return DELAY

    async def finish(self, app: Any, job: Job, outcome: Outcome) -> bool:
        kind = self.kinds[job.task_id]
        self.finishing.add(job.task_id)
        try:
            await self.while_finishing(kind, job)
        finally:
            self.finishing.discard(job.task_id)
        if kind == TOO_LATE:
            return False
        self.finished.append((job.task_id, outcome))
        return True

    async def heartbeat(self, app: Any, jobs: Iterable[Job]) -> set[UUID]:
        """The table has no row of these jobs, so that a real one would take all of them for lost."""
        return {job.task_id for job in jobs}

    async def give_back(self, app: Any, jobs: Iterable[Job]) -> list[Job]:
        return []

    async def while_finishing(self, kind: str, job: Job) -> None:
        await asyncio.sleep(0)
        if kind == FINISH_BUG or (kind == FINISH_AWAY and job.task_id not in self._tried):
            self._tried.add(job.task_id)
            self._fails(kind)

    # -- the test's side

    def put(self, *kinds: str) -> None:
        """More to take."""
        self.script.extend(kinds)

    def open(self) -> None:
        """Jobs that run until they are told are told."""
        self.world.run(lambda app: self.over.set())

    def comes(self, look: Callable[[], Any]) -> bool:
        """Whether this is so within the time that a right worker needs by far. Raises what ended `run`."""
        try:
            self.worker.until(look, "")
        except Hang as hang:
            if self.world.goes_round or "stands still" in str(hang):
                raise
            return False
        except Exception as error:
            if isinstance(error, NotImplementedError) or not self.worker.running.done:
                raise
            if isinstance(error, BaseExceptionGroup) and error.subgroup(NotImplementedError):
                raise
            said = "" if isinstance(error, AssertionError) else f" with {type(error).__name__}({error})"
            words = f"{self.case}: expected Worker.run to go on, and it has ended{said}"
            raise AssertionError(words).with_traceback(error.__traceback__) from None
        return True

    @property
    def is_idle(self) -> bool:
        """Whether all that was there is done, as far as the worker means to."""

        def look(app: Any) -> bool:  # in the loop: never in the middle of a step
            return not (self.script or self.waiting or self.finishing or self.claims or self.given.total())

        return bool(self.world.run(look))

    @property
    def case(self) -> str:
        return f"worker_pool_size {self.pool}, {self.told}"

    def name(self, task_id: UUID) -> str:
        return f"{self.kinds[task_id]} ({list(self.kinds).index(task_id) + 1})"

    def stands(self) -> str:
        """Where things are, for a sentence."""
        left = f", still to be taken: {words(self.script)}" if self.script else ""
        return (
            f"take was called {self.takes} times, {len(self.running)} handlers run, "
            f"{len(self.finished)} jobs were finished{left}; {self.worker.waits_at()}"
        )

    def check(self) -> None:
        """What holds at any time."""
        assert self.odd_limit is None, diagnose(
            f"{self.case}: the limit that take was asked for", self.odd_limit, "a number from 1"
        )
        assert self.too_many is None, (
            f"{self.case}: take was asked for up to {self.too_many[0]} entries when {max(self.too_many[1], 0)} of "
            f"{self.pool} slots were free (those of jobs that were taken and have not begun are not): expected no "
            "more than can be started. What a worker takes and can't start, no other worker can start"
        )
        assert self.most <= self.pool, diagnose(
            f"{self.case}: the handlers that ran at once", self.most, f"{self.pool} at most"
        )


class Stopped(Bench):
    """A worker that is stopped while one of its pieces is held up."""

    def __init__(self, side: Side, script: Iterable[str], pool: int, held: str = "", **settings: Any) -> None:
        self.held = held
        self.reached = 0
        self.go = asyncio.Event()
        self.cut: list[str] = []
        self.at_its_end: dict[str, int] = {}
        self.tasks_before = side.world.tasks()
        super().__init__(side, script, pool, **settings)

    async def _hold(self, piece: str) -> None:
        if piece == self.held:
            self.reached += 1
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                self.cut.append(piece)
                raise

    async def _brought(self, limit: int) -> list[Entry]:
        if self.script:
            await self._hold("take")
        return await super()._brought(limit)

    async def _claimed(self, ids: list[UUID]) -> list[Job]:
        if ids:
            await self._hold("claim")
        return await super()._claimed(ids)

    async def handler(self, kind: str, job: Job) -> Exception | None:
        await self._hold("run_handler")
        return await super().handler(kind, job)

    async def while_finishing(self, kind: str, job: Job) -> None:
        await self._hold("finish")
        await super().while_finishing(kind, job)

    async def stop(self, app: Any) -> None:
        """Stop the worker, and note what is under way when `stop` returns."""
        await self.worker.piece.stop()
        self.at_its_end = {
            "handlers": len(self.running),
            "finishes": len(self.finishing),
            "takes": self.asked,
            "claims": self.claims,
        }

    def open(self) -> None:
        self.world.run(lambda app: self.go.set())
        super().open()


class NotBegun(Stopped):
    """A worker whose `stop` is called when its `run` has had no turn yet."""

    def begins(self, worker: Any) -> WorkerUnderTest:
        self.stopping = self.world.start(lambda app: worker.stop())
        self.world.turns()
        return super().begins(worker)


class Leased(Stopped):
    """A worker whose jobs have leases, and may lose them."""

    def __init__(
        self,
        side: Side,
        script: Iterable[str],
        pool: int,
        faults: Iterable[type[Exception]] = (),
        grace: float = 1200,
        held: str = "",
    ) -> None:
        self.faults = deque(faults)
        self.lingering: Counter[UUID] = Counter()
        """How often a handler that lingers was cancelled."""
        self.beats: list[list[UUID]] = []
        """What each heartbeat that worked was asked for."""
        self.given_back: Counter[UUID] = Counter()
        self.beat_waits: asyncio.Event | None = None
        """The next heartbeat is under way until this is set."""
        self.too_early: list[UUID] = []
        """Jobs that were given back while their handler was at it."""
        settings: dict[str, Any] = {
            "heartbeat_seconds": 0.4,
            "lease_seconds": 15,
            "shutdown_grace_seconds": grace,
        }
        super().__init__(side, script, pool, held, **settings)

    async def heartbeat(self, app: Any, jobs: Iterable[Job]) -> set[UUID]:
        ids = [job.task_id for job in jobs]
        if ids and self.beat_waits is not None:
            waits, self.beat_waits = self.beat_waits, None
            await waits.wait()
        await asyncio.sleep(0)
        if ids and self.faults and self.running:
            self.failed[BEAT] += 1
            raise self.faults.popleft()("the database is away (says this test)")
        if ids:
            self.beats.append(ids)
        return set(ids) - self.lost

    async def give_back(self, app: Any, jobs: Iterable[Job]) -> list[Job]:
        jobs = list(jobs)
        self.too_early += [job.task_id for job in jobs if job.task_id in self.running]
        await asyncio.sleep(0)
        over = self.lost | {task_id for task_id, _ in self.finished}
        ours = [job for job in jobs if job.task_id not in over]
        self.given_back.update(job.task_id for job in ours)
        return [replace(job, status=Status.QUEUED) for job in ours]

    async def handler(self, kind: str, job: Job) -> Exception | None:
        if kind == LINGERS:
            await self._linger(job)
            return None
        if kind not in (TIDIES, STUBBORN):
            return await super().handler(kind, job)
        try:
            await self.over.wait()
        except asyncio.CancelledError:
            for _ in range(5):
                await asyncio.sleep(0.001)
            if kind == TIDIES:
                raise
            self.cancelled.append(job.task_id)
            return RuntimeError("cut off in the middle")
        return None

    async def _linger(self, job: Job) -> None:
        while not self.over.is_set():
            try:
                await self.over.wait()
            except asyncio.CancelledError:  # however often
                self.lingering[job.task_id] += 1
        if job.task_id in self.lingering:
            self.cancelled.append(job.task_id)
            raise asyncio.CancelledError

    async def finish(self, app: Any, job: Job, outcome: Outcome) -> bool:
        return job.task_id not in self.lost and await super().finish(app, job, outcome)


class _Kept(logging.Handler):
    """Keeps what is logged, by whomever it may be but the libraries."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__(logging.INFO)
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] not in ("asyncio", "psycopg"):
            self._records.append(record)


@contextmanager
def played(
    side: Side,
    script: Iterable[str],
    pool: int,
    kind: type[Bench] = Bench,
    hurries: bool = True,
    **settings: Any,
) -> Iterator[Any]:
    """A worker at work on this script. It is ended with the block."""
    side.begin()
    world, root = side.world, logging.getLogger()
    loop = world.run(lambda app: asyncio.get_running_loop())
    records: list[logging.LogRecord] = []
    keeps, level = _Kept(records), root.level
    root.addHandler(keeps)
    root.setLevel(logging.INFO)
    bench = None
    try:
        with hurried(loop, files_of(side.code.Worker) if hurries else set()):
            bench = kind(side, script, pool, **settings)
            bench.records = records
            yield bench
    finally:
        root.removeHandler(keeps)
        root.setLevel(level)
        if bench is not None:
            with suppress(Hang):
                _end(bench)


def _end(bench: Bench) -> None:
    bench.open()
    bench.worker.running.cancel()
    bench.world.turns()


def a_job(task_id: UUID) -> Job:
    """As `claim` gives it. No two times are the same."""
    fields: dict[str, Any] = dict.fromkeys(Job.__dataclass_fields__)
    names = ("created_at", "queued_at", "started_at", "updated_at", "lease_expires_at")
    fields |= {name: odd.NOON + timedelta(seconds=step) for step, name in enumerate(names)}
    fields |= {"task_id": task_id, "type": "noop", "priority": Priority.DEFAULT, "payload_json": "{}"}
    fields |= {"status": Status.RUNNING, "attempts": 2, "max_attempts": 5, "version": 2, "worker": "me/1"}
    return Job(**fields)


def words(script: Iterable[str]) -> str:
    """A script as a person would tell it."""
    runs = [(kind, len(list(same))) for kind, same in groupby(script)]
    return ", ".join(kind if times == 1 else f"{times} × {kind}" for kind, times in runs)


# -- what is judged


def _goes_on(bench: Bench, more: Sequence[str]) -> None:
    """After the script, the worker does more jobs."""
    came = bench.comes(lambda: bench.is_idle)
    bench.check()
    assert came, f"{bench.case}: expected the worker to go on with all of it; 5 s later {bench.stands()}"
    bench.told += f", and then {words(more)}"
    before = len(bench.finished)
    bench.put(*more)
    came = bench.comes(lambda: len(bench.finished) >= before + len(more) and bench.is_idle)
    bench.check()
    assert came, f"{bench.case}: expected all of them to be done; 5 s later {bench.stands()}"


def _has_all_its_slots(bench: Bench) -> None:
    """After the script, as many jobs run at once as there are slots, and all of them come to their end."""
    came = bench.comes(lambda: bench.is_idle)
    bench.check()
    assert came, f"{bench.case}: expected the worker to go on with all of it; 5 s later {bench.stands()}"
    more = bench.pool + 2
    bench.told += f", and then {more} × {HOLDS}"
    before = len(bench.finished)
    bench.put(*[HOLDS] * more)
    bench.comes(lambda: len(bench.running) >= bench.pool)
    bench.world.turns()
    bench.check()
    assert len(bench.running) == bench.pool, (
        f"{bench.case}: expected {bench.pool} of them to run at once, for no earlier handler runs any more; got "
        f"{len(bench.running)}, and no other began within 5 s ({bench.stands()}). Each slot that was taken must be "
        "free again, whatever came of it"
    )
    bench.open()
    came = bench.comes(lambda: len(bench.finished) >= before + more and bench.is_idle)
    bench.check()
    assert came, f"{bench.case}, which were told to end: expected all of them to; 5 s later {bench.stands()}"


def _ended_once(bench: Bench) -> None:
    """Each job that was claimed ran once, and was finished once, with what was decided."""
    ran = Counter(bench.started)
    for task_id in bench.claimed:
        assert ran[task_id] == 1, diagnose(
            f"{bench.case}: how often {bench.name(task_id)} was run", ran[task_id], 1
        )
    assert set(ran) <= set(bench.claimed), (
        f"{bench.case}: {bench.name(next(one for one in ran if one not in bench.claimed))} was run: expected only "
        "those that claim returned"
    )
    written = Counter(task_id for task_id, _ in bench.finished)
    for task_id in bench.claimed:
        kind = bench.kinds[task_id]
        wanted = (
            (0,)
            if kind in (*BUGS, TOO_LATE) or task_id in bench.lost
            else (0, 1)
            if kind == FINISH_AWAY
            else (1,)
        )
        assert written[task_id] in wanted, diagnose(
            f"{bench.case}: how often {bench.name(task_id)} was finished", written[task_id], wanted[0]
        )
    for task_id, outcome in bench.finished:
        if status := OUTCOMES.get(bench.kinds[task_id]):
            got = (str(outcome.status), outcome.delay)
            delay = DELAY if status is Status.RETRY else 0.0
            assert got == (str(status), delay), diagnose(
                f"{bench.case}: the status and the delay with which {bench.name(task_id)} was finished, where "
                f"backoff_delay answers {DELAY}",
                got,
                (str(status), delay),
            )
    odd_delays = [asked for asked in bench.delays if asked != (2, 7, 70)]
    assert not odd_delays, diagnose(
        f"{bench.case}: what backoff_delay was asked after attempt 2, with base 7 and cap 70",
        odd_delays[:1],
        [(2, 7, 70)],
    )


def _ends_when_cancelled(bench: Stopped) -> None:
    """A cancellation ends `run`, wherever it comes."""
    came = bench.comes(lambda: bench.reached if bench.held else bench.failed.total())
    assert came, f"{bench.case}: expected the worker to come there; 5 s later {bench.stands()}"
    bench.world.turns()
    task = bench.worker.task
    assert task is not None
    bench.world.run(lambda app: task.cancel())
    bench.world.turns()
    bench.open()  # whether it waits for what is under way is open
    with suppress(Hang):
        bench.world.until(task.done, "")
    assert task.done(), (
        f"{bench.case}: expected it to end; 5 s later it has not, take was called {bench.takes} times, and "
        f"{bench.worker.waits_at()}. CancelledError must go through"
    )


def _others_go_on(bench: Bench) -> None:
    """A job that runs for long holds one slot, and no other."""

    def others_are_done(app: Any) -> bool:  # in the loop: never in the middle of a step
        at_it = {bench.kinds[one] for one in bench.waiting} - {HOLDS}
        return not (bench.script or at_it or bench.finishing or bench.claims or bench.given.total())

    came = bench.comes(lambda: bench.world.run(others_are_done))
    bench.check()
    assert came, (
        f"{bench.case}: expected the worker to go on with the others beside the one that runs on; 5 s later "
        f"{bench.stands()}. The slot of a job that has ended is free, whatever the others do"
    )
    bench.open()
    came = bench.comes(lambda: bench.is_idle)
    assert came, f"{bench.case}, which was told to end: expected all to be done; 5 s later {bench.stands()}"


def _stops_at_once(bench: NotBegun) -> None:
    """A worker may be stopped as soon as it is made: its `run` has nothing to do then."""
    with suppress(Hang):
        bench.world.until(lambda: bench.stopping.done and bench.worker.running.done, "")
    takes = "" if not bench.takes else f", take was called {bench.takes} times"
    for name, one in (("run", bench.worker.running), ("stop", bench.stopping)):
        assert one.done, (
            f"{bench.case}: expected run to end and stop to return; 5 s later {name} has not{takes}, and "
            f"{bench.worker.waits_at()}"
        )
        one.result()
    assert not bench.takes, diagnose(f"{bench.case}: how often take was called", bench.takes, 0)


def _stops(bench: Stopped) -> None:
    """`stop` waits for what is under way, loses nothing, and leaves nothing behind."""
    came = bench.comes(lambda: bench.reached if bench.held else bench.failed[AWAY])
    assert came, f"{bench.case}: expected the worker to come there; 5 s later {bench.stands()}"
    stopping = bench.world.start(bench.stop)
    bench.world.turns()
    takes, early = bench.takes, stopping.done
    if early:
        stopping.result()
        assert not bench.held, (
            f"{bench.case}: expected stop to wait until that has ended, and it returned before"
        )
    if HOLDS in bench.kinds.values():
        bench.world.run(lambda app: bench.go.set())
        bench.world.turns(30)
        if stopping.done:
            stopping.result()
            raise AssertionError(
                f"{bench.case}: expected stop to wait for the other handler too; it returned before"
            )
    bench.open()
    with suppress(Hang):
        bench.world.until(lambda: stopping.done, "")
    assert stopping.done, (
        f"{bench.case}: expected stop to return; 5 s after {bench.held or 'the take'} ended it has not, and "
        f"{bench.worker.waits_at()}"
    )
    stopping.result()
    bench.world.turns()
    _all_is_over(bench, takes)
    _ended_once(bench)
    _logged(bench)


def _all_is_over(bench: Stopped, takes: int) -> None:
    assert not any(bench.at_its_end.values()), diagnose(
        f"{bench.case}: what was under way when stop returned",
        {name: number for name, number in bench.at_its_end.items() if number},
        "nothing",
    )
    assert bench.worker.running.done, f"{bench.case}: stop has returned, and run has not; expected run first"
    bench.worker.running.result()
    assert not bench.cut, f"{bench.case}: expected it to come to its end; {bench.cut[0]} was cancelled"
    assert bench.takes == takes, diagnose(
        f"{bench.case}: takes that began after that", bench.takes - takes, 0
    )
    lost = [one for one, number in bench.given.items() if number > 0]
    pushed = sum(bench.world.redis.llen(f"q:{priority}") for priority in Priority)
    assert len(lost) <= pushed, (
        f"{bench.case}: the take brought an entry; expected its job to be claimed, or the entry to be in a queue "
        "again, and neither is so"
    )
    left = [
        getattr(task.get_coro(), "__qualname__", "a task")
        for task in bench.world.tasks() - bench.tasks_before
    ]
    left = [
        name for name in left if not name.startswith("Hints.")
    ]  # the app's own, which tells when it gets to it
    assert not left, diagnose(
        f"{bench.case}: the tasks that still run when stop has returned",
        sorted(left),
        "none that did not run before",
    )


def _gives_up_what_is_lost(bench: Leased, lost: set[int]) -> None:
    """The handlers of lost jobs are cancelled, and no other's; their slots are used again."""
    first = _all_begin(bench)
    if bench.faults:
        bench.told += f", whose first heartbeats raise {type(bench.faults[0]('')).__name__}"
    came = bench.comes(lambda: not bench.faults and set(first) <= _named(bench.beats))
    assert not bench.cancelled, (
        f"{bench.case}: expected no handler to be cancelled yet; got {len(bench.cancelled)}"
    )
    assert came, (
        f"{bench.case}: expected heartbeats for all of them; within 5 s {len(_named(bench.beats))} of {len(first)} "
        f"were named in one that worked; {bench.worker.waits_at()}"
    )
    bench.lost |= {first[number] for number in lost}
    bench.told += f", of which {len(lost)} {'was' if len(lost) == 1 else 'were'} then missing from the answer"
    gone = bench.comes(lambda: not bench.running & bench.lost)
    assert gone, (
        f"{bench.case}: expected the handlers of those to be cancelled; 5 s later {len(bench.running & bench.lost)} "
        f"run, and {bench.worker.waits_at()}"
    )
    kept = set(first) - bench.lost
    bench.put(*[HOLDS] * (len(lost) + 1))
    bench.told += f", and then {len(lost) + 1} × {HOLDS}"
    bench.comes(lambda: len(bench.running) >= bench.pool)
    bench.world.turns()
    bench.check()
    assert set(bench.cancelled) == bench.lost, diagnose(
        f"{bench.case}: whose handlers were cancelled",
        sorted(map(bench.name, bench.cancelled)),
        sorted(map(bench.name, bench.lost)),
    )
    assert len(bench.running) == bench.pool, (
        f"{bench.case}: expected {bench.pool} handlers to run at once; got {len(bench.running)}, 5 s later "
        f"({bench.stands()}). The slot of a job that was lost is free when its handler has ended"
    )
    now, so_far = set(bench.running), len(bench.beats)
    bench.comes(lambda: all(_times(bench.beats[so_far:], one) >= 3 for one in now))
    assert now <= _named(bench.beats[so_far:]), (
        f"{bench.case}: expected heartbeats for the {len(now)} jobs that run, and within 5 s "
        f"{len(now & _named(bench.beats[so_far:]))} of them were named in one"
    )
    assert not bench.lost & _named(bench.beats[-bench.pool :]), (
        f"{bench.case}: expected heartbeats for jobs that run, and they still name one that was lost, whose handler "
        "has ended"
    )
    bench.open()
    came = bench.comes(lambda: bench.is_idle and len(bench.finished) >= len(kept) + len(lost) + 1)
    assert came, (
        f"{bench.case}: expected all others to be finished; 5 s after they were told {bench.stands()}"
    )
    bench.world.turns()


def _spares_what_began_meanwhile(bench: Leased) -> None:
    """A job that began while a heartbeat was under way is not in its answer, for nobody has asked for it."""
    waits = asyncio.Event()
    bench.beat_waits = waits
    came = bench.comes(lambda: bench.beat_waits is None)
    assert came, f"{bench.case}: expected a heartbeat for it; 5 s later {bench.stands()}"
    bench.told += f", and then {HOLDS}, which began while a heartbeat for the first was under way"
    bench.put(HOLDS)
    came = bench.comes(lambda: len(bench.running) == 2)
    bench.world.let_go(waits)
    assert came, f"{bench.case}: expected both to run; 5 s later {bench.stands()}"
    bench.comes(lambda: bench.cancelled or set(bench.kinds) <= _named(bench.beats))
    assert not bench.cancelled, (
        f"{bench.case}: the answer named the first, and the handler of {bench.name(bench.cancelled[0])} was cancelled: "
        "only what a heartbeat was asked for can be missing from its answer"
    )
    bench.open()
    came = bench.comes(lambda: bench.is_idle and len(bench.finished) == 2)
    assert came, f"{bench.case}: expected both to be finished; 5 s after they were told {bench.stands()}"


def _lets_it_tidy_up(bench: Leased) -> None:
    """Who was cancelled once tidies up in peace: a second cancellation would cut that off."""
    lost, other = _all_begin(bench)
    bench.lost.add(lost)
    bench.told += (
        ", of which the first was then missing from the answer, and tidied up for several heartbeats"
    )
    came = bench.comes(lambda: bench.lingering)
    assert came, f"{bench.case}: expected its handler to be cancelled; 5 s later {bench.stands()}"
    so_far = len(bench.beats)
    bench.comes(lambda: _times(bench.beats[so_far:], other) >= 3)
    bench.world.turns()
    assert bench.lingering[lost] == 1, diagnose(
        f"{bench.case}: how often its handler was cancelled",
        bench.lingering[lost],
        1,
        [(True, "the second one comes in the `finally` of the handler, and ends what it does there")],
    )
    bench.open()
    came = bench.comes(lambda: bench.is_idle)
    assert came, f"{bench.case}: expected both to end; 5 s after they were told {bench.stands()}"


def _all_begin(bench: Bench) -> list[UUID]:
    came = bench.comes(lambda: len(bench.running) == bench.pool)
    assert came, f"{bench.case}: expected all of them to run at once; 5 s later {bench.stands()}"
    return list(bench.kinds)


def _named(beats: Iterable[Iterable[UUID]]) -> set[UUID]:
    return {one for ids in beats for one in ids}


def _times(beats: Iterable[Sequence[UUID]], one: UUID) -> int:
    return sum(one in ids for ids in beats)


def _gives_back(bench: Leased, lost: set[int]) -> None:
    """What does not end within the grace is cancelled and given back, each once, and its entry pushed."""
    first = _all_begin(bench)
    bench.lost |= {first[number] for number in lost}
    bench.told += ", and stop was called" + (", while one was lost" if lost else "")
    _is_stopped(bench)
    assert not bench.too_early, (
        f"{bench.case}: {bench.name(bench.too_early[0])} was given back while its handler was still at it; expected "
        "give_back when it has stopped"
    )
    written = Counter(task_id for task_id, _ in bench.finished)
    for task_id in first:
        got = (written[task_id], bench.given_back[task_id])
        wanted = [(0, 0)] if task_id in bench.lost else [(0, 1)]
        if bench.kinds[task_id] == STUBBORN:
            wanted.append((1, 0))
        assert got in wanted, diagnose(
            f"{bench.case}: how often {bench.name(task_id)} was finished, and given back", got, wanted[0]
        )
    pushed = sum(bench.world.redis.llen(f"q:{priority}") for priority in Priority)
    assert pushed == bench.given_back.total(), diagnose(
        f"{bench.case}: entries in the queues, where give_back returned {bench.given_back.total()} jobs",
        pushed,
        bench.given_back.total(),
    )


def _gives_nothing_back(bench: Leased) -> None:
    """What ends within the grace is finished, and not given back."""
    first = _all_begin(bench)
    bench.told += ", and stop was called, and then they were told"
    stopping = bench.world.start(bench.stop)
    bench.world.turns()
    bench.open()
    _is_stopped(bench, stopping)
    got = (len(bench.finished), bench.given_back.total())
    assert got == (len(first), 0), diagnose(
        f"{bench.case}: jobs that were finished, and given back", got, (len(first), 0)
    )


def _cuts_no_finish(bench: Leased) -> None:
    """A finish that is under way at the end of the grace is written, and its job is not given back."""
    came = bench.comes(lambda: bench.reached)
    assert came, f"{bench.case}: expected it to be finished; 5 s later {bench.stands()}"
    bench.told += ", and stop was called, and the grace was over, while finish was under way"
    stopping = bench.world.start(bench.stop)
    bench.comes(lambda: not bench.asked)
    bench.world.turns(30)
    bench.world.jump(LONG / FACTOR + 1)
    bench.world.turns(30)
    cut = bool(bench.cut)
    bench.world.run(lambda app: bench.go.set())
    with suppress(Hang):
        bench.world.until(lambda: stopping.done, "")
    got = (len(bench.finished), bench.given_back.total())
    said = ", which was cancelled" if cut else ""
    assert (*got, cut) == (1, 0, False), diagnose(
        f"{bench.case}{said}: how often the job was finished, and given back", got, (1, 0)
    )
    assert stopping.done, (
        f"{bench.case}: expected stop to return; 5 s later it has not, and {bench.worker.waits_at()}"
    )
    stopping.result()


def _leaves_what_lingers(bench: Leased) -> None:
    """However long a handler tidies up, its job is given back when that is over, or not at all."""
    _all_begin(bench)
    bench.told += ", and stop was called, and the handler went on tidying up for minutes"
    bench.world.start(bench.stop)
    came = bench.comes(lambda: bench.lingering)
    assert came, (
        f"{bench.case}: expected it to be cancelled when the grace was over; 5 s later {bench.stands()}"
    )
    for _ in range(3):
        bench.world.jump(100)
        bench.world.turns(30)
    assert not bench.too_early, (
        f"{bench.case}: its job was given back meanwhile, and could run elsewhere beside it; expected give_back when "
        "the handler has stopped, or never: then its lease runs out"
    )


def _waits_for_all_at_once(bench: Leased) -> None:
    """The grace is one for all handlers, and not one for each."""
    _all_begin(bench)
    bench.told += ", and stop was called"
    bench.world.start(bench.stop)
    bench.comes(lambda: not bench.asked)
    bench.world.turns(30)

    async def four_graces(app: Any) -> int:
        # The worker has set its timers by now, and this one comes after them, however slow the machine is.
        end = asyncio.get_running_loop().time() + 4 * ONE_GRACE
        while bench.running and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110
            await asyncio.sleep(ONE_GRACE / 20)
        for _ in range(100):
            await asyncio.sleep(0)
        return len(bench.running)

    left = bench.world.run(four_graces)
    assert not left, (
        f"{bench.case}: expected all of them to be cancelled after one grace (shutdown_grace_seconds), and {left} of 8 "
        "still ran when four graces had passed: wait for all at once, not for one after the other"
    )


def _is_stopped(bench: Leased, stopping: Any = None) -> None:
    stopping = stopping or bench.world.start(bench.stop)
    with suppress(Hang):
        bench.world.until(lambda: stopping.done, "")
    assert stopping.done, (
        f"{bench.case}: expected stop to return; 5 s later it has not, and {bench.worker.waits_at()}"
    )
    stopping.result()
    bench.world.turns()
    _all_is_over(bench, bench.takes)


def _waited_with_await(bench: Bench) -> None:
    if bench.stood_still is None:
        return
    how = (
        "at once, without a pause"
        if bench.stood_still < 0.1
        else f"{bench.stood_still:.1f} s later, and nothing else in the process could run in between"
    )
    raise AssertionError(
        f"{bench.case}: when take had failed, the worker called it again {how}: expected a pause with an await, so "
        "that handlers go on meanwhile"
    )


def _logged(bench: Bench) -> None:
    """The log has each job's failure, and that turns failed."""
    bench.world.turns()
    bugs = sum(bench.failed[kind] for kind in BUGS)
    wanted = bugs or int(any(bench.failed[kind] for kind in FAULTS))
    assert len(bench.records) >= wanted, diagnose(
        f"{bench.case}: lines of the log, level INFO and above, after these errors",
        [record.getMessage() for record in bench.records],
        f"at least {wanted}: what a job or a turn meets, nobody else hears of",
    )
