"""Chapter 05: what ListJobs must answer. Run it with `pytest chapters/05_listjobs`."""

import base64
import random
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import NoReturn
from uuid import NAMESPACE_OID, UUID, uuid5

import grpc
import psycopg
import pytest
from scheduler.errors import InvalidRequest
from scheduler.jobs import Priority, Status
from scheduler.v1 import scheduler_pb2 as pb

from workbook.diagnose import diagnose
from workbook.stream import RpcFailed

NOON = datetime(2024, 5, 17, 12, 0, 0, 250_000, UTC)
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)


# -- task 1


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [(0, 50), (1, 1), (50, 50), (999, 999), (1_000, 1_000), (1_001, 1_000), (2**31 - 1, 1_000)],
)
def test_task_1_keeps_the_size_within_limits(code, asked, wanted):
    try:
        got = code.page_size(asked)
    except InvalidRequest as error:
        _explain(
            error,
            f"page_size({asked}) refused a number that is no mistake ({error}): {_why_no_mistake(asked)}",
        )
    assert got == wanted, diagnose(
        f"page_size({asked})",
        got,
        wanted,
        [
            (got is None, "it returned nothing; is there a return?"),
            (asked == 0, "0 is what a client sends that says nothing about the size: it means 50"),
            (asked > wanted, "nobody gets more than 1,000 at once"),
        ],
    )


def _why_no_mistake(asked):
    if asked == 0:
        return "0 is what a client sends that says nothing about the size; it means 50"
    return "more than 1,000 means 1,000" if asked > 1_000 else "from 1 to 1,000 it is right as it is"


@pytest.mark.parametrize("asked", [-1, -(2**31)])
def test_task_1_refuses_a_negative_size(code, asked):
    try:
        got = code.page_size(asked)
    except InvalidRequest as refused:
        fields = [violation.field for violation in refused.violations]
        wrong = fields != ["page_size"]
    except NotImplementedError:
        raise
    except Exception as error:
        _explain(
            error,
            f"page_size({asked}) raised {_text(error)}: raise InvalidRequest([Violation(field, why)]), of which the "
            "server makes INVALID_ARGUMENT",
        )
    else:
        pytest.fail(
            f"page_size({asked}) answered {got}: a negative size is a mistake in the client's program, and it should "
            "hear of it; raise InvalidRequest"
        )
    assert not wrong, (
        f"page_size({asked}) must name the field page_size, as the client spells it, and named {fields}"
    )


def test_task_1_agrees_with_the_reference_on_every_input(judge):
    judge.task(1)


# -- task 2


def test_task_2_lists_every_job_when_no_state_is_asked_for(world):
    jobs = [world.insert(status) for status in ("queued", "running", "succeeded")]
    got = {job.job_id for job in _list(world).jobs}
    wanted = {str(job.task_id) for job in jobs}
    assert got == wanted, diagnose(
        "how many of three jobs a client gets that asks for nothing",
        len(got),
        3,
        [
            (not got, "none; a state_filter of 0, UNSPECIFIED, is no filter: it means any state"),
            (len(got) == 1, "one; a state_filter of 0, UNSPECIFIED, means any state"),
        ],
    )


def test_task_2_lists_only_the_state_that_is_asked_for(world):
    jobs = {status: world.insert(status) for status in Status}
    for status, job in jobs.items():
        got = {UUID(one.job_id) for one in _list(world, state_filter=_state(status)).jobs}
        found = [str(other) for other in Status if jobs[other].task_id in got]
        assert got == {job.task_id}, diagnose(
            f"ListJobs(state_filter={pb.JobState.Name(_state(status))}), where one job of each state is",
            found,
            [str(status)],
            [
                (
                    not found,
                    f"nothing; the column holds the word {status}, and the filter is the number {_state(status)}",
                ),
                (len(found) == len(jobs), "all of them; the filter does nothing"),
            ],
        )


def test_task_2_shows_each_job_as_get_job_does(world):
    job = world.insert("retry", type="send_mail", priority="low", max_attempts=7)
    jobs = _list(world).jobs
    assert len(jobs) == 1, diagnose(
        "how many jobs ListJobs() answers with, where there is one (retry, low, of type 'send_mail')",
        len(jobs),
        1,
        [(not jobs, "none; a filter that is left out means any")],
    )
    [listed] = jobs
    whole = world.app.parts.job_to_status(world.row(job.task_id))
    here, there = [{field.name: value for field, value in one.ListFields()} for one in (listed, whole)]
    differing = sorted(name for name in here | there if here.get(name) != there.get(name))
    assert listed == whole, (
        f"ListJobs says something else of a job than GetJob does, in {', '.join(differing)}: "
        "do not copy the fields anew, app.parts.job_to_status does it"
    )


def test_task_2_refuses_a_state_that_the_api_does_not_have(world):
    world.insert("queued")
    for number in (99, -1):
        _check_refused(world, "state_filter", state_filter=number)


def test_task_2_holds_no_more_jobs_than_a_page(world):
    for _ in range(3):
        world.insert("queued")
    got = len(_list(world, page_size=2).jobs)
    assert got == 2, diagnose(
        "jobs on a page, where three wait and page_size is 2",
        got,
        2,
        [(got == 3, "all of them; imagine a table with ten million rows. Which word of SQL sets a limit?")],
    )


def test_task_2_refuses_a_negative_page_size(world):
    world.insert("queued")
    _check_refused(world, "page_size", page_size=-1)


def test_task_2_agrees_with_the_reference_on_every_input(judge):
    judge.task(2)


# -- task 3


def test_task_3_combines_all_filters(world):
    statuses, priorities, types = ("queued", "failed"), ("high", "low"), ("noop", "sleep")
    jobs = {
        (status, priority, type): world.insert(status, priority=priority, type=type)
        for status, priority, type in product(statuses, priorities, types)
    }
    for status, priority, type in product((None, *statuses), (None, *priorities), ("", *types)):
        filters = _filters(status, priority, type)
        got = {UUID(one.job_id) for one in _list(world, **filters).jobs}
        wanted = {
            job.task_id
            for (of_status, of_priority, of_type), job in jobs.items()
            if status in (None, of_status) and priority in (None, of_priority) and type in ("", of_type)
        }
        asked = ", ".join(f"{name}={value}" for name, value in _words(filters).items()) or "no filter"
        assert got == wanted, diagnose(
            f"ListJobs({asked}), where each combination has one job",
            f"{len(got)} jobs",
            f"{len(wanted)}",
            [
                (
                    len(filters) > 1 and got > wanted and len(got) < len(jobs),
                    "jobs that match only some of the filters; all must hold: AND",
                ),
                (
                    len(filters) > 1 and got > wanted,
                    "all jobs; with several filters none is applied",
                ),
                (
                    len(filters) > 1 and not got,
                    "none; each filter for itself may be right. Are the parameters in the order of their placeholders?",
                ),
                (got > wanted, "too many; this filter does nothing"),
                (not got, "none; what does the column hold, and what is it compared with?"),
            ],
        )


def test_task_3_takes_a_type_as_it_is(world):
    odd = [
        "it's",
        "x' OR '1'='1",
        "100%",
        "50%s",
        "%(id)s",
        "a_b",
        "noop%",
        'say "hi"',
        "back\\slash",
        "Nöop",
        "NOOP",
    ]
    jobs = {
        type: world.insert("queued", type=type) for type in [*odd, "noop", "noop 2", "a-b", "100", "nöop"]
    }
    for type in odd:
        asked = f"ListJobs(type_filter={type!r})"
        try:
            got = {UUID(one.job_id) for one in _known(world, type_filter=type).jobs}
        except psycopg.Error as error:
            _explain(
                error,
                f"{asked}: the statement broke ({_first_line(error)}). What a client sends must never become part of "
                "the statement: write %s there, and give the value as a parameter",
            )
        found = sorted(other for other, job in jobs.items() if job.task_id in got)
        assert found == [type], diagnose(
            f"{asked}, where {len(jobs)} types have one job each",
            found,
            [type],
            [
                (
                    len(found) == len(jobs),
                    "all of them; the client's text was read as SQL. Give it as a parameter",
                ),
                (len(found) > 1, "others too; types are compared with =, not with LIKE"),
                (not found, "none; the type must arrive at the database exactly as it is"),
            ],
        )


def test_task_3_refuses_a_priority_that_the_api_does_not_have(world):
    world.insert("queued")
    for number in (99, -1):
        _check_refused(world, "priority_filter", priority_filter=number)


def test_task_3_refuses_what_can_not_be_a_type(world):
    world.insert("queued")
    _check_refused(world, "type_filter", type_filter="a\0b")


def test_task_3_agrees_with_the_reference_on_every_input(judge):
    judge.task(3)


# -- task 4


@pytest.mark.parametrize("number", [0, 1, 5, 6, 7])
def test_task_4_shows_every_job_once_and_then_ends(world, number):
    order = _fill(world, number)
    _check_walk(_walk(world, 3), order, f"{number} jobs, in pages of 3")


def test_task_4_shows_the_newest_first(world):
    order = _fill(world, 5)
    _check_walk([one.job_id for one in _list(world).jobs], order, "5 jobs on one page, each a second older")


def test_task_4_orders_jobs_of_one_moment_by_their_id(world):
    _without_the_help_of_indexes(world)
    order = _fill(world, 12, apart=timedelta(0))
    what = "12 jobs that were created at the same microsecond"
    got = [one.job_id for one in _list(world).jobs]
    if sorted(got) == sorted(order) and got != order:
        why = (
            "their ids rise; they must fall, so that both columns have one direction"
            if got == order[::-1]
            else "their order is an accident, and the next page may show another. Let the id break the tie"
        )
        pytest.fail(f"{what}: {why} (got {_numbers(got, order)}, where 1 is the largest id)")
    _check_walk(got, order, what)


def test_task_4_shows_jobs_of_one_moment_once(world):
    _without_the_help_of_indexes(world)
    order = _fill(world, 20, apart=timedelta(0))
    _check_walk(_walk(world, 3), order, "20 jobs that were created at the same microsecond, in pages of 3")


def test_task_4_shows_fifty_jobs_when_no_size_is_asked_for(world):
    order = _fill(world, 53)
    first = _list(world)
    assert len(first.jobs) == 50, diagnose("jobs on a page without page_size", len(first.jobs), 50)
    assert first.next_page_token, (
        "53 jobs, and the first page of 50 has no next_page_token: the rest can't be reached"
    )
    _check_walk(_walk(world, 0), order, "53 jobs, in pages of no given size")


def test_task_4_keeps_the_filters_on_every_page(world):
    order = _fill(world, 8, type="wanted")
    _fill(world, 8, type="other", apart=SECOND / 3)
    _check_walk(
        _walk(world, 3, type_filter="wanted"), order, "8 jobs of one type among 8 of another, in pages of 3"
    )


def test_task_4_gives_the_same_page_for_the_same_token(world):
    _fill(world, 5)
    token = _list(world, page_size=2).next_page_token
    first, again = [_list(world, page_size=2, page_token=token) for _ in range(2)]
    assert first.jobs == again.jobs, (
        "the same token gave another page the second time. A client whose answer got lost asks again; the place "
        "belongs into the token, not into the server's memory"
    )
    assert first.jobs, "the token of the first page of 2 gave an empty page, and there are 5 jobs"


@pytest.mark.processes(2)
def test_task_4_agrees_with_the_reference_on_every_input(judge):
    judge.task(4)


# -- task 5, stretch


def test_task_5_repeats_nothing_while_jobs_arrive(world):
    order = _fill(world, 10)
    got = _walk(world, 3, between=lambda _: [world.insert("queued") for _ in range(2)])
    _check_walk(
        [one for one in got if one in set(order)],
        order,
        "10 jobs in pages of 3, while two new ones arrive after each page",
        "the new jobs pushed the others down, and a page began too early. Do not count rows: remember where you were",
        "a page began below its bookmark. Is the bookmark the last job that you showed, and not the one too many? Are "
        "the two columns compared as a pair?",
        ends=(3, 6, 9),
    )


def test_task_5_skips_nothing_while_jobs_leave_the_filter(world):
    order = _fill(world, 10)
    jobs = {str(row["task_id"]): row for row in world.sql("SELECT task_id FROM tasks")}

    def first_two_begin_to_run(shown):
        for job_id in shown[-2:]:
            world.update(world.row(jobs[job_id]["task_id"]), "running")

    got = _walk(world, 3, between=first_two_begin_to_run, state_filter=pb.JOB_STATE_QUEUED)
    _check_walk(
        got,
        order,
        "10 queued jobs in pages of 3, while two of each page begin to run",
        "jobs above left the list, the others moved up, and a page began too late. Do not count rows: remember where "
        "you were",
    )


def test_task_5_goes_on_after_a_job_that_was_deleted(world):
    order = _fill(world, 10)

    def delete_the_last(shown):
        world.sql("DELETE FROM tasks WHERE task_id = %s", UUID(shown[-1]))

    _check_walk(
        _walk(world, 3, between=delete_the_last),
        order,
        "10 jobs in pages of 3, while the last one of each page is deleted",
        "the place is lost with the job. A token must hold all that the next page needs; the row may be gone",
    )


@pytest.mark.parametrize("size", [1, 3])
def test_task_5_tells_microseconds_apart(world, size):
    order = _fill(world, 7, apart=MICROSECOND)
    _check_walk(
        _walk(world, size),
        order,
        f"7 jobs, each a microsecond older, in pages of {size}",
        "is the whole time in the token, to the microsecond?",
    )


@pytest.mark.parametrize("size", [1, 3])
def test_task_5_tells_jobs_of_one_moment_apart(world, size):
    order = _fill(world, 7, apart=timedelta(0))
    _check_walk(
        _walk(world, size),
        order,
        f"7 jobs that were created at the same microsecond, in pages of {size}",
        "the time alone does not say where you were: compare the id as well",
    )


def test_task_5_compares_the_id_only_where_the_times_are_equal(world):
    order = _fill(world, 12, at_once=2)
    _check_walk(
        _walk(world, 3),
        order,
        "12 jobs, two of each second, in pages of 3",
        "an older job may well have a larger id; the id counts only where the times are equal",
    )


def test_task_5_keeps_its_place_whatever_the_zone_of_the_database(world):
    [row] = world.sql("SELECT current_database() AS name")
    world.sql(f"ALTER DATABASE {row['name']} SET timezone TO 'IST-5:30'")
    order = _fill(world, 7, apart=timedelta(hours=1))
    _check_walk(
        _walk(world, 2),
        order,
        "7 jobs, each an hour older, in pages of 2, where the database's session is 5:30 h ahead of UTC",
        "a time without a zone means something else to the database than to you",
    )


@pytest.mark.processes(2)
def test_task_5_agrees_with_the_reference_on_every_input(judge):
    judge.task(5)


# -- task 6, stretch

FILTERS = {
    "no filter": {},
    "a state": {"state_filter": pb.JOB_STATE_QUEUED},
    "another state": {"state_filter": pb.JOB_STATE_FAILED},
    "a priority": {"priority_filter": pb.PRIORITY_DEFAULT},
    "a type": {"type_filter": "noop"},
    "another type": {"type_filter": "sleep"},
    "two filters": {"state_filter": pb.JOB_STATE_QUEUED, "type_filter": "noop"},
}


def test_task_6_takes_a_token_with_its_own_filters(world):
    _fill_for_filters(world)
    for name, filters in FILTERS.items():
        token = _token(world, name, filters)
        _list(world, page_size=2, page_token=token, **filters)


def test_task_6_refuses_a_token_with_other_filters(world):
    _fill_for_filters(world)
    tokens = {name: _token(world, name, filters) for name, filters in FILTERS.items()}
    for (given, token), (used, filters) in product(tokens.items(), FILTERS.items()):
        if given != used:
            what = f"a token that was given for {given}, used with {used}"
            failed = _refused(world, what, page_size=2, page_token=token, **filters)
            assert failed is not None, f"{what}: ListJobs answered as if it belonged to this list"
            _check_invalid(failed, "page_token", what)


def test_task_6_refuses_what_was_never_a_token(world):
    _fill(world, 5)
    encoded = [b"{}", b"[]", b"null", b"7", b"\xff\xfe", b"\x7f" * 32]
    odd = ["x", "not a token!", "é", "\0", "====", "A" * 43]
    for token in odd + [base64.urlsafe_b64encode(raw).decode() for raw in encoded]:
        what = f"the page_token {token!r}"
        failed = _refused(world, what, page_size=2, page_token=token)
        assert failed is not None, (
            f"{what}: ListJobs answered with a page, and nobody was ever given this token. A client that mixes "
            "something up would never hear of it"
        )
        _check_invalid(failed, "page_token", what)


def test_task_6_is_not_broken_by_a_token_that_was_tampered_with(world):
    _fill(world, 5)
    token = _token(world, "no filter", {})
    for damaged in _damaged(token):
        what = f"the page_token {damaged[:60]!r}, made from a right one"
        failed = _refused(world, what, page_size=2, page_token=damaged)
        if failed is not None:
            _check_invalid(failed, "page_token", what)


def test_task_6_lets_the_page_size_change_from_page_to_page(world):
    order = _fill(world, 12)
    shown, token = [], ""
    for size in (4, 1, 3, 2, 10):
        page = _list(world, page_size=size, page_token=token)
        assert len(page.jobs) <= size, (
            f"page_size={size}, and the page holds {len(page.jobs)}: a token must not bring the size of an earlier page"
        )
        shown += [one.job_id for one in page.jobs]
        if not (token := page.next_page_token):
            break
    _check_walk(
        shown, order, "12 jobs, in pages of 4, 1, 3, 2 and 10", "is the place counted in pages of one size?"
    )


@pytest.mark.processes(2)
def test_task_6_agrees_with_the_reference_on_every_input(judge):
    judge.task(6)


def _fill_for_filters(world):
    for _ in range(3):
        world.insert("queued")
        world.insert("queued", type="sleep", priority="low")
        world.insert("failed")


def _token(world, name, filters):
    token = _list(world, page_size=2, **filters).next_page_token
    assert token, f"a page of 2 with {name} has no next_page_token, and there are more"
    return token


def _damaged(token):
    """Tokens that look almost right: shortened, doubled, changed in a letter, or in a byte of what they encode."""
    random.seed(5)
    yield from (
        token[:-1],
        token[1:],
        token[: len(token) // 2],
        token * 2,
        token[::-1],
        token + "A",
        token.swapcase(),
    )
    for position in range(0, len(token), max(1, len(token) // 12)):
        yield token[:position] + random.choice("AZaz09-_.") + token[position + 1 :]
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        return
    for position in range(len(raw)):
        changed = raw[:position] + bytes([random.choice(b'0-9:"[{Tz\x00\xff')]) + raw[position + 1 :]
        yield base64.urlsafe_b64encode(changed).decode()


# -- jobs and pages


def _fill(world, number, apart=SECOND, at_once=1, **columns):
    """Insert queued jobs in no order of note, and give their ids in the order of a list: the newest first."""
    jobs = [
        (NOON - place // at_once * apart, uuid5(NAMESPACE_OID, f"{columns} {place}"))
        for place in range(number)
    ]
    for created_at, task_id in sorted(jobs, key=lambda job: job[1].hex[8:]):
        world.insert("queued", task_id=task_id, created_at=created_at, **columns)
    return [str(task_id) for _, task_id in sorted(jobs, reverse=True)]


def _without_the_help_of_indexes(world):
    """An index that is in the right order makes an accident look like a plan."""
    _list(world)  # the server has created them by now
    world.sql("DROP INDEX tasks_created, tasks_status_created, tasks_type_created")


def _list(world, **request):
    """One page. A statement that could not be run is told with what was asked."""
    try:
        return _known(world, **request)
    except psycopg.Error as error:
        asked = ", ".join(f"{name}={value!r}" for name, value in request.items())
        _explain(error, f"ListJobs({asked}): {_broken(error)}")


def _known(world, **request):
    """One page. Of the mistakes that are well known, it says which one it was."""
    try:
        return world.call("ListJobs", **request)
    except KeyError as error:
        name = next((name for name in ("state_filter", "priority_filter") if not request.get(name)), None)
        if error.args != (0,) or name is None:
            raise
        _explain(
            error,
            f"{name} is 0, UNSPECIFIED, where a client asks for nothing; list_jobs looked 0 up in a mapping",
        )
    except psycopg.Error as error:
        if "operator does not exist: text = " not in str(error):
            raise
        _explain(
            error,
            f"the database refused to compare ({_first_line(error)}): the column holds a word, and a filter of the API "
            "is a number. Turn the number into the word first",
        )
    except (TypeError, AttributeError) as error:
        if "coroutine" not in str(error):
            raise
        _explain(error, f"app.db.fetch_all(…) gives a coroutine, and nobody awaits it ({error})")


def _broken(error):
    """What is known of a statement that could not be run."""
    what = f"the statement could not be run ({type(error).__name__}: {_first_line(error)})"
    if "placeholders but" in str(error):
        return (
            f"{what}. Each %s needs a value of its own: append a condition and its value together, to lists that are "
            "new in each call"
        )
    return what


def _walk(world, size, between=None, **filters):
    """The ids of every page, one after the other. `between` gets what the last page showed, before the next is read."""
    shown, token, pages = [], "", 0
    while True:
        page = _list(world, page_size=size, page_token=token, **filters)
        ids = [one.job_id for one in page.jobs]
        assert len(ids) <= (size or 50), (
            f"page_size is {size or 50}, and page {pages + 1} holds {len(ids)} jobs"
        )
        shown += ids
        pages += 1
        if not (token := page.next_page_token):
            return shown
        assert pages < 60, (
            f"after {pages} pages there is still a next_page_token: a client goes on until it is empty, and never ends "
            f"(page {pages} holds {len(ids)} jobs)"
        )
        if between is not None and ids:
            between(ids)


def _check_walk(got, order, what, why="", why_missing="", ends=()):
    """Compare what a client saw with what is there; jobs are named by their place, 1 for the newest."""
    seen, wanted = _numbers(got, order), list(range(1, len(order) + 1))
    twice = sorted({number for number in seen if seen.count(number) > 1})
    missing = [number for number in wanted if number not in seen]
    hint = f". {why[0].upper()}{why[1:]}" if why else ""
    hint_missing = f". {why_missing[0].upper()}{why_missing[1:]}" if why_missing else hint
    assert seen == wanted, diagnose(
        what,
        seen,
        wanted,
        [
            (seen == wanted[::-1], "the oldest comes first; the newest is wanted first"),
            (bool(twice and missing), f"{_some(twice)} came twice, and {_some(missing)} never{hint}"),
            (
                bool(twice and set(twice) <= set(ends)),
                f"{_some(twice)} came twice: the bookmarked job came again; compare with < and not <=",
            ),
            (bool(twice), f"{_some(twice)} came twice{hint}"),
            (
                bool(missing and seen == wanted[: len(seen)] and not why),
                f"{_some(missing)} never came: a next_page_token was empty too early",
            ),
            (bool(missing), f"{_some(missing)} never came{hint_missing}"),
            (True, f"all came, and in another order than newest first{hint}"),
        ],
    )


def _numbers(ids, order):
    places = {job_id: place for place, job_id in enumerate(order, 1)}
    return [places.get(job_id, 0) for job_id in ids]


def _some(numbers):
    if len(numbers) == 1:
        return f"job {numbers[0]}"
    shown = ", ".join(map(str, numbers[:5]))
    return f"jobs {shown}{' …' if len(numbers) > 5 else ''}"


# -- refusals


def _refused(world, what, **request):
    """How the call was refused, or None if it was not. What list_jobs raised by mistake is explained."""
    try:
        _known(world, **request)
    except RpcFailed as failed:
        return failed
    except NotImplementedError:
        raise
    except AssertionError:
        raise
    except Exception as error:
        _explain(
            error,
            f"{what}: list_jobs raised {type(error).__name__} ({_first_line(error)}), and the client is told that the "
            "server has a fault. The fault is the client's: answer INVALID_ARGUMENT",
        )
    return None


def _check_refused(world, field, **request):
    what = f"{field}={request[field]!r}"
    failed = _refused(world, what, **request)
    assert failed is not None, (
        f"{what}: ListJobs answered with a page, as if that were right; answer INVALID_ARGUMENT, and name the field"
    )
    _check_invalid(failed, field, what)


def _check_invalid(failed, field, what):
    assert failed.code is grpc.StatusCode.INVALID_ARGUMENT, diagnose(
        what, failed.code.name, "INVALID_ARGUMENT"
    )
    assert failed.fields == [field], diagnose(
        f"{what}: the fields that the answer names in its google.rpc.BadRequest",
        failed.fields,
        [field],
        [(not failed.fields, "none: app.errors.invalid(context, field, why) adds the detail")],
    )


# -- words


def _state(status):
    return pb.JobState.Value(f"JOB_STATE_{Status(status).name}")


def _filters(status, priority, type):
    filters = {}
    if status is not None:
        filters["state_filter"] = _state(status)
    if priority is not None:
        filters["priority_filter"] = pb.Priority.Value(f"PRIORITY_{Priority(priority).name}")
    if type:
        filters["type_filter"] = type
    return filters


def _words(filters):
    names = {"state_filter": pb.JobState.Name, "priority_filter": pb.Priority.Name, "type_filter": str}
    return {name: names[name](value) for name, value in filters.items()}


def _first_line(error):
    return (str(error).splitlines() or [""])[0]


def _explain(error, words) -> NoReturn:
    """Fail with these words, and keep the way that the error went: the report shows the learner's own line."""
    raise AssertionError(words).with_traceback(error.__traceback__) from None


def _text(error):
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
