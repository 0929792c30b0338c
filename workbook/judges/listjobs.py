"""What chapter 05 is judged on.

Open in the contract: whether a last page that is full has a token (an empty page follows then), what a token looks
like, how a refusal is worded, which of several wrong fields it names, until task 4 the order, and whether a ListJobs
waits for a row that is locked.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import psycopg
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from scheduler.jobs import Priority, Status, type_violation
from scheduler.v1 import scheduler_pb2 as pb

from workbook.counting import counting
from workbook.judge import Judge, Row, Seen, Side, blamed, refusal, told
from workbook.judges import odd
from workbook.judges.failing import FAILURES, status_of
from workbook.stream import RpcFailed

SIZES = (0, 1, 2, 3, 50, 1_000, 1_001, 2**31 - 1, -1, -50, -(2**31))
MOST_PAGES = 40
ALIKE = (
    ("noop", "sleep"),
    ("noop", "NOOP"),
    ("100%", "100"),
    ("a_b", "a-b"),
    ("it's", "its"),
    ('say "hi"', "say hi"),
    ("Nöop", "nöop"),
    ("x' OR '1'='1", "x"),
    ("back\\slash", "backslash"),
    ("%s", "noop"),
    (" noop", "noop"),
    ("noop ", "noop"),
    ("caf\u00e9", "cafe\u0301"),
    ("\ufb01nd", "find"),
    ("stra\u00dfe", "strasse"),
    ("a|b", "a"),
)
"""Types that careless code takes for each other."""
ALL_TYPES = tuple(dict.fromkeys(type for some in ALIKE for type in some))
CHANGES = ("is deleted", "arrives", "leaves")
STATES = (0, *(pb.JobState.Value(f"JOB_STATE_{status.name}") for status in Status), 8, 99, -1, 2**31 - 1)
PRIORITIES = (0, *(pb.Priority.Value(f"PRIORITY_{priority.name}") for priority in Priority), 5, 99, -1)
NO_TYPES = ("", "a\0b", "two\nlines", "t" * 300)


def task_1(judge: Judge) -> None:
    judge.compare(
        st.sampled_from(SIZES) | st.integers(-2_000, 3_000),
        lambda side, size: iter([side.value(f"page_size({size})", side.code.page_size, size)]),
        examples=60,
    )


def task_2(judge: Judge) -> None:
    judge.each(CHANGES, _asked_again)
    judge.compare(_lists({"state_filter": STATES}), _one_page, examples=40)
    judge.each(FAILURES, _failed)
    judge.each([MANY], _cost_of_a_page)
    judge.each(range(1, len(ODD_COLUMNS) + 1), _odd_job)
    judge.each(["running", "cancelled"], _while_a_row_is_locked)


def task_3(judge: Judge) -> None:
    judge.compare(_lists(ALL_FILTERS), _one_page, examples=60)
    judge.each(EACH_TYPE, _one_of_each_type)


def task_4(judge: Judge) -> None:
    judge.compare(_lists(ALL_FILTERS, longest=9, pages=True), _walk, examples=50)
    judge.each([1_000, 1_500], _more_than_the_largest_page)
    judge.each(ABOUT_NO_VALUE, _failed_on_the_next_page)
    judge.each([MANY], _cost_of_all_pages)
    judge.each([{}, {"type_filter": "noop"}], _nothing_but_the_token)
    judge.each(JOINED, _token_of_a_type)


def task_5(judge: Judge) -> None:
    judge.compare(_lists(ALL_FILTERS, longest=9, pages=True, most_changes=3), _walk, examples=60)
    judge.each(DIGITS, _jobs_of_one_moment)


def task_6(judge: Judge) -> None:
    judge.compare(st.tuples(_filters(VALID), _filters(VALID)), _token_of_another_list)
    judge.each(CONFUSED, _token_of_another_list)
    judge.each(TIED, _token_of_a_type)
    judge.each(IN_TURN, _sizes_in_turn)
    judge.each(BENDINGS, _bent_token)


ALL_FILTERS = {
    "state_filter": STATES,
    "priority_filter": PRIORITIES,
    "type_filter": ("", *NO_TYPES),
}
NAMED = ("noop", "it's", "NOOP")
VALID = {
    "state_filter": STATES[:4],
    "priority_filter": PRIORITIES[:3],
    "type_filter": ("", *NAMED),
}
QUEUED, RUNNING, CRITICAL, HIGH = (
    pb.JOB_STATE_QUEUED,
    pb.JOB_STATE_RUNNING,
    pb.PRIORITY_CRITICAL,
    pb.PRIORITY_HIGH,
)
BETWEEN = ("", " ", ",", ", ", "|", "/", ":", ";", "-", ".", "&", "+", "_")
"""What parts of a text are put together with."""
NOTHING = ("0", "None", "null", "any", "all", "*", "-", "''", '""')
"""Types whose names are what a program may write for a filter that is left out."""
CONFUSED: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({"state_filter": QUEUED}, {"type_filter": "queued"}),
    ({"state_filter": QUEUED}, {"type_filter": "JOB_STATE_QUEUED"}),
    ({"priority_filter": HIGH}, {"type_filter": "high"}),
    ({"state_filter": QUEUED}, {"priority_filter": CRITICAL}),  # both are 1
    ({"state_filter": RUNNING}, {"type_filter": "2"}),
    ({"priority_filter": HIGH}, {"type_filter": "2"}),
    (
        {"state_filter": QUEUED, "priority_filter": HIGH},
        {"state_filter": RUNNING, "priority_filter": CRITICAL},
    ),
    ({"state_filter": QUEUED, "priority_filter": HIGH}, {"state_filter": QUEUED, "type_filter": "high"}),
    ({"state_filter": QUEUED, "priority_filter": HIGH}, {"state_filter": QUEUED, "type_filter": "2"}),
    ({"type_filter": "noop"}, {"type_filter": "poon"}),
    *(
        ({"priority_filter": HIGH, "type_filter": "noop"}, {"type_filter": f"high{between}noop"})
        for between in BETWEEN
    ),
    *(({"type_filter": type}, {}) for type in NOTHING),
)
"""Two lists each, whose filters careless code takes for the same."""
JOINED = tuple(f"a{between}b" for between in BETWEEN[1:])
LONG_TYPES = ("t" * 200, "\u00fc" * 200, "\u65e5" * 200, "\U0001f98a" * 200)
"""As long as a type may be, in characters; in bytes most of them are longer."""
TIED = tuple(dict.fromkeys((*ALL_TYPES, *JOINED, *NOTHING, *LONG_TYPES)))
EACH_TYPE = tuple(dict.fromkeys((*ALL_TYPES, "a", "b", *JOINED, *LONG_TYPES)))
IN_TURN = ((2, 0), (1, 3, 2), (4, 1, 1), (1, 1_000), (3, 2**31 - 1))
MANY = 1_600
ODD_COLUMNS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("failed", {"last_error": f"RuntimeError: {'x' * 1_900} the end"}),
    ("deadletter", {"last_error": "two\nlines", "attempts": 100, "max_attempts": 100, "version": 2**31 - 1}),
    ("retry", {"last_error": "", "attempts": 2, "max_attempts": 7}),
    ("queued", {"last_error": "RuntimeError: of the attempt before", "attempts": 1, "started_at": odd.NOON}),
    ("running", {"type": "t" * 200, "priority": "low", "worker": "another/7"}),
    ("succeeded", {"created_at": odd.NOON - timedelta(days=9_000), "finished_at": odd.NOON}),
    ("cancelled", {"payload": '{"text": "' + "x" * 5_000 + '"}', "idempotency_key": "once"}),
)
"""Rows that are out of the ordinary, though none of them is impossible."""
DIGITS = tuple(
    tuple(
        first + number * timedelta(days=9, hours=7, minutes=5, seconds=3, microseconds=123_457)
        for number in range(16)
    )
    for first in (odd.NOON, odd.NOON.replace(year=2039))
)
"""Times whose last digit a float gets wrong here and there, and seconds beyond 32 bits."""
ABOUT_NO_VALUE = tuple(one for one in FAILURES if not isinstance(one, psycopg.DataError))
"""Who lets the database read what is in a token may take its refusal of a value for a token that is wrong."""


@dataclass(frozen=True)
class List:
    """Some rows, what a client asks for, and what happens after each page."""

    rows: tuple[Row, ...]
    filters: Mapping[str, Any]
    sizes: tuple[int, ...]
    """Of the pages in turn, from the first again after the last."""
    changes: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return (
            f", where there are {', '.join(map(repr, self.rows))}"
            if self.rows
            else ", where there are no jobs"
        )


@st.composite
def _lists(
    draw: st.DrawFn,
    odd_filters: Mapping[str, tuple[Any, ...]],
    longest: int = 5,
    pages: bool = False,
    most_changes: int = 0,
) -> List:
    """Rows of a few kinds, and filters that some of them pass: most pairs of any two would have nothing in common."""
    states = draw(st.lists(st.sampled_from(list(Status)), min_size=1, max_size=2))
    priorities = draw(st.lists(st.sampled_from(list(Priority)), min_size=1, max_size=2))
    types = draw(st.sampled_from(ALIKE))
    rows = []
    for number in range(1, draw(st.integers(0, longest)) + 1):
        status, priority = draw(st.sampled_from(states)), draw(st.sampled_from(priorities))
        type, created_at = draw(st.sampled_from(types)), draw(odd.moments())
        rows.append(
            Row(f"job {number}", odd.task_id(number), status, type, priority, {"created_at": created_at})
        )
    fitting = {
        "state_filter": tuple(pb.JobState.Value(f"JOB_STATE_{status.name}") for status in states),
        "priority_filter": tuple(pb.Priority.Value(f"PRIORITY_{priority.name}") for priority in priorities),
        "type_filter": types,
    }
    filters = draw(_filters({name: fitting[name] * 3 + some for name, some in odd_filters.items()}))
    if pages:
        sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3 if most_changes else 1))
        changes = draw(st.lists(st.sampled_from(CHANGES), max_size=most_changes))
        return List(tuple(rows), filters, tuple(sizes), tuple(changes))
    return List(tuple(rows), filters, (draw(st.sampled_from([0, 1, 2, 3, 5, 1_000, -1])),))


def _filters(values: Mapping[str, tuple[Any, ...]]) -> SearchStrategy[dict[str, Any]]:
    """What a client says nothing about is left out, as often as not."""
    return st.fixed_dictionaries({}, optional={name: st.sampled_from(some) for name, some in values.items()})


def _one_page(side: Side, case: List) -> Iterator[Seen]:
    """Which jobs come, whatever their order; how many, where they are more than a page holds."""
    side.insert(*case.rows)
    [size] = case.sizes
    seen = _list(side, 0, page_size=size, **case.filters)
    what = f"{seen.what}{case.where}"
    if isinstance(seen.value, str):
        yield Seen(what, seen.value)
        return
    jobs = sorted(seen.value.get("jobs", []), key=lambda job: str(job["job_id"]))
    yield Seen(f"the number of jobs that answer {what}", len(jobs))
    if not 0 < size < len(case.rows):
        yield Seen(f"the jobs that answer {what}", [job["job_id"] for job in jobs])
        yield Seen(what, jobs)


def _list(side: Side, process: int, **asked: Any) -> Seen:
    """A call. Where several fields are wrong, any of them may be named, or several."""
    seen = side.call("ListJobs", process, **asked)
    wrong = [
        name for name in ("page_size", *ALL_FILTERS) if name in asked and not _is_right(name, asked[name])
    ]
    if len(wrong) > 1 and isinstance(seen.value, str) and seen.value.startswith(blamed([""])):
        named = seen.value.removeprefix(blamed([""])).split(" and ")
        if set(named) <= set(wrong):
            return Seen(seen.what, blamed([" or ".join(wrong)]))
    return seen


def _is_right(name: str, value: Any) -> bool:
    match name:
        case "page_size":
            return int(value) >= 0
        case "type_filter":
            return not value or type_violation(value) is None
        case "state_filter":
            return value in pb.JobState.values()
        case _:
            return value in pb.Priority.values()


def _one_of_each_type(side: Side, type: str) -> Iterator[Seen]:
    side.insert(
        *(
            Row(f"a job of type {_type(other)}", odd.task_id(number), "queued", other)
            for number, other in enumerate(EACH_TYPE, 1)
        )
    )
    seen = side.call("ListJobs", type_filter=type)
    what = f"ListJobs(type_filter={_type(type)}), where there is one job of each of {len(EACH_TYPE)} types"
    yield Seen(what, _ids(seen))


def _type(text: str) -> str:
    """Some types look alike on a screen, and are not; and some are long."""
    return f"{text[0]!a} * {len(text)}" if text in LONG_TYPES else ascii(text)


def _asked_again(side: Side, happens: str) -> Iterator[Seen]:
    """Each answer is what the table holds now."""
    first, second = (_one_of(number, "queued", "default", "noop") for number in (1, 2))
    side.insert(first)
    seen = side.call("ListJobs", page_size=5)
    yield Seen(f"{seen.what}, where there is {first!r}", _states(seen))
    if happens == "arrives":
        side.insert(second)
    elif happens == "leaves":
        side.change(first, "cancelled")
    else:
        side.world.sql("DELETE FROM tasks WHERE task_id = %s", first.task_id)
    done = {"arrives": "job 2 arrived", "leaves": "job 1 was cancelled", "is deleted": "job 1 was deleted"}
    again = side.call("ListJobs", page_size=5)
    yield Seen(f"{again.what}, asked again right after {done[happens]}", _states(again))


def _states(seen: Seen) -> Any:
    if not isinstance(seen.value, dict):
        return seen.value
    return sorted(f"{job['job_id']}, {job.get('state')}" for job in seen.value.get("jobs", []))


def _odd_job(side: Side, number: int) -> Iterator[Seen]:
    """Whatever a row holds, the list says of it what job_to_status does; and it only reads."""
    status, columns = ODD_COLUMNS[number - 1]
    side.insert(Row("job 1", odd.task_id(1), status, columns=columns))
    seen = side.call("ListJobs")
    told = ", ".join(f"{name} {_brief(value)}" for name, value in columns.items())
    what = f"{seen.what}, where there is one job ({status}, {told})"
    [job] = seen.value.get("jobs", [])[:1] or [{}] if isinstance(seen.value, dict) else [seen.value]
    said = {name: _brief(value) for name, value in job.items()} if isinstance(job, dict) else job
    yield Seen(f"what job_to_status makes of the job, in {what}", said)
    for table in ("tasks", "task_attempts"):
        yield Seen(f"the table {table} after {what}", side.rows(table).value)
    yield Seen(f"what Redis holds after {what}", side.redis().value)


def _brief(value: Any) -> Any:
    """A text by its beginning, end and length, if it is too long to be shown."""
    if not isinstance(value, str) or len(value) <= 60:
        return value
    return f"{value[:12]}...{value[-12:]}, {len(value):,} characters"


def _while_a_row_is_locked(side: Side, becomes: str) -> Iterator[Seen]:
    """Until it is committed, what somebody else writes has not happened: the job is listed, and as it was."""
    rows = [_one_of(number, "queued", "default", "noop") for number in (1, 2)]
    side.insert(*rows)
    job = side.world.row(rows[0].task_id)
    assert job is not None
    asked = {"state_filter": QUEUED}
    with side.world.locked(job, becomes) as lock:
        calling = side.world.begin("ListJobs", **asked)
        lock.wait_for(calling)
        lock.roll_back()
        try:
            got: Any = side.plain(calling.result())
        except RpcFailed as failed:
            got = refusal(failed)
    what = f"ListJobs({told('ListJobs', asked)}), where there are jobs 1 and 2, and a transaction that is open writes"
    yield Seen(f"{what} to job 1 that it is {becomes}", _states(Seen(what, got)))


def _jobs_of_one_moment(side: Side, moments: tuple[datetime, ...]) -> Iterator[Seen]:
    """Every page ends between two jobs of one moment, and the next has to begin in it."""
    rows = [
        Row(
            f"job {2 * place + more}", odd.task_id(2 * place + more), "queued", columns={"created_at": moment}
        )
        for place, moment in enumerate(moments)
        for more in (1, 2)
    ]
    side.insert(*rows)
    times = {row.name: row.columns["created_at"] for row in rows}
    shown: list[Any] = []
    token = ""
    for page in range(len(moments) + 2):
        size = 2 if page else 1
        seen = side.call("ListJobs", page_size=size, page_token=token)
        ids = _ids(seen)
        if not isinstance(ids, list):
            shown.append(f"page {page + 1} is refused: {ids}")
            break
        shown += [
            f"a job created at {times[one]:%Y-%m-%d %H:%M:%S.%f}" if one in times else one for one in ids
        ]
        if not (token := seen.value.get("next_page_token", "")):
            break
    how_often = [f"{one}, {shown.count(one)} times" for one in dict.fromkeys(shown) if shown.count(one) != 2]
    never = [
        f"a job created at {one:%Y-%m-%d %H:%M:%S.%f}, 0 times"
        for one in moments
        if f"a job created at {one:%Y-%m-%d %H:%M:%S.%f}" not in shown
    ]
    what = f"{len(rows)} jobs, two of each of {len(moments)} moments of {moments[0].year}"
    yield Seen(
        f"which moments' jobs came more or less than twice, of {what}, in pages of 2 of which the first has 1",
        [*how_often, *never],
    )


def _nothing_but_the_token(side: Side, filters: dict[str, Any]) -> Iterator[Seen]:
    """All that the next page needs is in the token: it is as good when Redis has lost all that it held."""
    _some_that_fit(side, filters)
    token = _token(side, filters)
    asked = f"ListJobs({told('ListJobs', {**filters, 'page_size': 1})})"
    held = side.redis().value
    side.world.redis.flushdb()
    seen = side.call("ListJobs", process=1, page_size=1, page_token=token, **filters)
    yield Seen(f"page 2 of {asked} for two jobs, after Redis was emptied", _ids(seen))
    yield Seen(f"what Redis holds after page 1 of {asked}", held)
    tables = side.world.sql("SELECT tablename FROM pg_tables WHERE schemaname = current_schema ORDER BY 1")
    yield Seen(f"the tables of the database after {asked}", [row["tablename"] for row in tables])


def _walk(side: Side, case: List) -> Iterator[Seen]:
    """All pages, each asked from the next of the processes, and asked once more from the one after."""
    side.insert(*case.rows)
    shown: list[str] = []
    problems: list[str] = []
    changes: list[str] = []
    token = ""
    for page in range(MOST_PAGES):
        size = case.sizes[page % len(case.sizes)]
        seen, again = [
            _list(side, page + more, page_size=size, page_token=token, **case.filters) for more in (0, 1)
        ]
        ids = _ids(seen)
        if not isinstance(ids, list):
            problems.append(f"page {page + 1}, asked from process {1 + page % 2}, is refused: {ids}")
            break
        if _ids(again) != ids:
            problems.append(
                f"page {page + 1} is {ids}, and {_ids(again)} when another process is asked for it once more"
            )
        if len(ids) > (size or 50) > 0:
            problems.append(f"page {page + 1} holds {len(ids)} jobs")
        shown += ids
        token = seen.value.get("next_page_token", "")
        if not token:
            break
        if page < len(case.changes):
            changes.append(f", and after page {page + 1} a job {case.changes[page]}")
            _change(side, case, case.changes[page], shown, page)
    else:
        problems.append(f"after {MOST_PAGES} pages there is still a token")
    sizes = " and ".join(map(str, case.sizes))
    asked = f"ListJobs({told('ListJobs', case.filters)}) in pages of {sizes}"
    what = f"{asked}{case.where}{''.join(changes)}"
    yield Seen(
        what, problems[0] if problems else "pages that end, and stay the same when one is asked for again"
    )
    yield Seen(f"the jobs that are shown by {what}", shown)


def _more_than_the_largest_page(side: Side, size: int) -> Iterator[Seen]:
    """What is asked for is as much as there may be, or more, and there is one job beyond that."""
    side.world.sql(
        "INSERT INTO tasks (task_id, type, created_at) "
        "SELECT md5(n::text)::uuid, 'noop', now() - n * interval '1 second' FROM generate_series(1, 1001) AS n"
    )
    pages, token = [], ""
    for page in range(3):
        seen = side.call("ListJobs", process=page, page_size=size, page_token=token)
        if not isinstance(seen.value, dict):
            pages.append(seen.value)
            break
        pages.append(len(seen.value.get("jobs", [])))
        if not (token := seen.value.get("next_page_token", "")):
            break
    while pages and pages[-1] == 0:  # a full page may be followed by an empty one
        pages.pop()
    yield Seen(f"the jobs on each page of 1,001 jobs, with page_size={size}", pages)


def _many(side: Side) -> None:
    side.world.sql(
        "INSERT INTO tasks (task_id, type, created_at) SELECT md5(n::text)::uuid, 'noop', "
        f"now() - n * interval '1 second' FROM generate_series(1, {MANY}) AS n"
    )


def _cost_of_a_page(side: Side, many: int) -> Iterator[Seen]:
    _many(side)
    costs = {}
    for size in (2, 1_000):
        with counting(side.world) as costs[size]:
            side.call("ListJobs", page_size=size)
    few, more = (asked.statements for asked in costs.values())
    often = "no more often than for 2" if more <= few else f"{more:,} times, and {few} times for 2"
    yield Seen("how often the database is asked for a page of 1,000 jobs", often)
    for size, asked in costs.items():
        yield _read(f"a page of {size:,} of {many:,} jobs", asked.rows, size)


def _cost_of_all_pages(side: Side, many: int) -> Iterator[Seen]:
    _many(side)
    token = ""
    for page in range(1, 4):
        with counting(side.world) as asked:
            answer = side.call("ListJobs", page_size=500, page_token=token).value
        yield _read(f"page {page} of {many:,} jobs, with page_size=500", asked.rows, 500)
        token = answer.get("next_page_token", "") if isinstance(answer, dict) else ""


def _read(what: str, rows: int, size: int) -> Seen:
    """Each may come twice, its id first and then all of it; and a total number is a row, too."""
    bounded = "those of the page, and perhaps one more"
    fine = rows <= 2 * (size + 1) + 2
    return Seen(f"the rows that the database sends for {what}", bounded if fine else f"{rows:,} rows")


def _failed(side: Side, failure: psycopg.Error) -> Iterator[Seen]:
    yield from _while_it_fails(side, failure, "the first page", {})


def _failed_on_the_next_page(side: Side, failure: psycopg.Error) -> Iterator[Seen]:
    _some_that_fit(side, {})
    yield from _while_it_fails(side, failure, "the next page", {"page_token": _token(side, {})})


def _while_it_fails(
    side: Side, failure: psycopg.Error, page: str, asked: Mapping[str, Any]
) -> Iterator[Seen]:
    """A database that is away, or a mistake in one's own SQL: neither is the client's fault, nor an empty list."""
    with side.world.database_raises(failure):
        meanwhile = status_of(side, "ListJobs", page_size=1, **asked)
    after = status_of(side, "ListJobs", page_size=1, **asked)
    name = type(failure).__name__
    yield Seen(f"ListJobs for {page}, while the database says {name}", meanwhile)
    yield Seen(f"ListJobs for {page}, right after the database said {name}", after)


def _ids(seen: Seen) -> Any:
    return (
        [job["job_id"] for job in seen.value.get("jobs", [])] if isinstance(seen.value, dict) else seen.value
    )


def _change(side: Side, case: List, happens: str, shown: list[str], page: int) -> None:
    """What somebody else does between two pages."""
    last = next((row for row in case.rows if shown and row.name == shown[-1]), None)
    if happens == "arrives":
        number = 100 + page
        newest = {"created_at": odd.NOON + timedelta(seconds=number)}
        side.insert(Row(f"job {number}", odd.task_id(number), "queued", columns=newest))
    elif last is not None and happens == "leaves":
        side.change(last, "cancelled")
    elif last is not None:
        side.world.sql("DELETE FROM tasks WHERE task_id = %s", last.task_id)


# -- tokens


def _some_of_each(side: Side) -> None:
    numbers = count(1)
    side.insert(
        *(
            _one_of(next(numbers), status, priority, type)
            for status in ("queued", "running", "succeeded")
            for priority in ("critical", "high")
            for type in NAMED
            for _ in range(2)
        )
    )


def _one_of(number: int, status: str, priority: str, type: str) -> Row:
    moment = {"created_at": odd.NOON - timedelta(microseconds=number)}
    return Row(f"job {number}", odd.task_id(number), status, type, priority, moment)


def _token(side: Side, filters: Mapping[str, Any]) -> str:
    answer = side.call("ListJobs", page_size=1, **filters).value
    return str(answer.get("next_page_token", "")) if isinstance(answer, dict) else ""


def _some_that_fit(side: Side, *lists: Mapping[str, Any]) -> None:
    """Two jobs for each of these filters."""
    numbers = count(1)
    status = {0: "queued"} | {pb.JobState.Value(f"JOB_STATE_{one.name}"): str(one) for one in Status}
    priority = {0: "default"} | {pb.Priority.Value(f"PRIORITY_{one.name}"): str(one) for one in Priority}
    side.insert(
        *(
            _one_of(
                next(numbers),
                status[one.get("state_filter", 0)],
                priority[one.get("priority_filter", 0)],
                one.get("type_filter") or "noop",
            )
            for one in lists
            for _ in range(2)
        )
    )


def _token_of_a_type(side: Side, type: str) -> Iterator[Seen]:
    _some_that_fit(side, {"type_filter": type})
    token = _token(side, {"type_filter": type})
    seen = side.call("ListJobs", process=1, page_size=1, page_token=token, type_filter=type)
    what = f"page 2 of two jobs in pages of 1, with type_filter={type!r} and the token of page 1, in another process"
    yield Seen(what, _ids(seen))


def _sizes_in_turn(side: Side, sizes: tuple[int, ...]) -> Iterator[Seen]:
    """What the request says is what counts: a token brings no size."""
    side.insert(*(_one_of(number, "queued", "default", "noop") for number in range(1, 8)))
    pages, token = [], ""
    for size in sizes:
        seen = side.call("ListJobs", page_size=size, page_token=token)
        pages.append(len(seen.value.get("jobs", [])) if isinstance(seen.value, dict) else seen.value)
        token = seen.value.get("next_page_token", "") if isinstance(seen.value, dict) else ""
        if not token:
            break
    yield Seen(
        f"the jobs on each page of 7 jobs, asked for with page_size {', then '.join(map(str, sizes))}", pages
    )


def _token_of_another_list(side: Side, case: tuple[dict[str, Any], dict[str, Any]]) -> Iterator[Seen]:
    given, used = case
    _some_that_fit(side, given, used)
    token = _token(side, given)
    yield Seen(f"a page of 1 of ListJobs({told('ListJobs', given)}) has a token", bool(token))
    seen = side.call("ListJobs", process=1, page_size=1, page_token=token, **used)
    what = f"a token of ListJobs({told('ListJobs', given)}), used with ({told('ListJobs', used)}) in another process"
    yield Seen(what, seen.value if isinstance(seen.value, str) else "a page")


def _bent_token(side: Side, case: tuple[dict[str, Any], str]) -> Iterator[Seen]:
    """A token that nobody was given is refused, or is a place like any other: never a fault of the server."""
    filters, way = case
    _some_of_each(side)
    whole = _token(side, filters)
    token = NEVER_GIVEN.get(way) or (cut(whole, CUT[way]) if way in CUT else bend(whole, way))
    seen = side.call("ListJobs", page_size=1, page_token=token, **filters)
    # Tokens of two designs have nothing in common: the sentence tells the way, and only what was got tells the token.
    got = seen.value if isinstance(seen.value, str) else f"{_ids(seen)}, for {token!r}"
    refused, allowed = blamed(["page_token"]), "a page, or INVALID_ARGUMENT that blames page_token"
    fine = seen.value == refused
    if way in NEVER_GIVEN:
        allowed = refused
    elif way in CUT:
        # Padding that is missing is no harm, if the token is read as if it were there.
        same = side.call("ListJobs", page_size=1, page_token=whole, **filters)
        allowed = f"{refused}, or the page of the whole token"
        fine = fine or _ids(seen) == _ids(same)
    else:
        fine = fine or not isinstance(seen.value, str)
    yield Seen(
        f"ListJobs({told('ListJobs', filters)}) with a token of this list that was changed: {way}",
        allowed if fine else got,
    )


NEVER_GIVEN = {
    "it is a word": "x",
    "it is a sentence": "not a token!",
    "it is an empty JSON object": "e30=",
    "it is no ASCII": "é",
}
CUT = {
    "its last character is cut off": 1,
    "its last two characters are cut off": 2,
    "its last three characters are cut off": 3,
    "its last five characters are cut off": 5,
    "its last nine characters are cut off": 9,
    "its second half is cut off": None,
}
BENT = (
    *NEVER_GIVEN,
    *CUT,
    "a number in it is beyond 64 bits",
    "a number in it is negative",
    "a number in it is no number",
    "a part of it is null",
    "a part of it is a list",
    "a part of it is another text",
    "a part of it is missing",
    "a part of it comes twice",
    "a part of it is true",
    "it is another JSON value",
    "its time lies far ahead",
    "a text in it has no zone",
    "it has digits of another script",
    "it has a zero byte",
)
BENDINGS = tuple(
    (filters, way)
    for way in BENT
    for filters in ({}, {"state_filter": QUEUED, "priority_filter": HIGH, "type_filter": "it's"})
)
OTHERS: Mapping[str, Any] = {
    "a number in it is beyond 64 bits": 2**70,
    "a number in it is negative": -7,
    "a number in it is no number": 1.5,
    "a part of it is null": None,
    "a part of it is a list": [1],
    "a part of it is another text": "x",
    "a part of it is true": True,
    "its time lies far ahead": "9999-12-31T23:59:59.999999+00:00",
    "a text in it has no zone": "2024-05-17T12:00:00.654321",
}


def cut(token: str, characters: int | None) -> str:
    """What is left of a token that was cut short: never nothing, which would ask for the first page."""
    kept = len(token) // 2 if characters is None else len(token) - characters
    return token[: max(1, kept)]


def bend(token: str, way: str) -> str:
    """The token with one thing about it changed; in the way that it seems to be made, if that can be seen."""
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except ValueError:
        return _bent(token, way)
    return base64.urlsafe_b64encode(_bent(text, way).encode("utf-8", "surrogatepass")).decode()


def _bent(text: str, way: str) -> str:
    try:
        inside = json.loads(text)
    except ValueError:
        return _bent_text(text, way)
    return json.dumps(_bent_value(inside, way))


def _bent_value(value: Any, way: str) -> Any:
    match value:
        case dict() if value and way == "a part of it is missing":
            return dict(list(value.items())[1:])
        case list() if value and way == "a part of it is missing":
            return value[1:]
        case list() if way == "a part of it comes twice":
            return [*value, *value[:1]]
        case dict() if value and way in OTHERS:
            fitting = [key for key in value if _fits(value[key], OTHERS[way])] or list(value)
            return {**value, fitting[0]: OTHERS[way]}
        case list() if value and way in OTHERS:
            place = next((n for n, one in enumerate(value) if _fits(one, OTHERS[way])), 0)
            return [*value[:place], OTHERS[way], *value[place + 1 :]]
        case _:
            return {"it is another JSON value": {"x": [None]}}.get(way, OTHERS.get(way, [value]))


def _fits(one: Any, other: Any) -> bool:
    return isinstance(one, int | float) == isinstance(other, int | float) and isinstance(
        one, str
    ) == isinstance(other, str)


def _bent_text(text: str, way: str) -> str:
    match way:
        case "a part of it is missing":
            return text[: len(text) // 2]
        case "a part of it comes twice":
            return text + text
        case "it has digits of another script":
            return "".join(chr(0x0660 + int(one)) if one in "0123456789" else one for one in text) or "٣"
        case "it has a zero byte":
            return text + "\0"
        case _:
            return str(OTHERS.get(way, "{}"))
