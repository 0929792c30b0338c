"""The differential judge itself: it finds what differs, says it of the smallest input, and never by luck."""

import asyncio
import importlib
import importlib.util
import time
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from hypothesis import strategies as st
from scheduler.errors import InvalidRequest, Violation

from workbook import patience
from workbook.book import chapters
from workbook.judge import ABSENT, OPEN, Judge, Row, Seen, Side, narrowed, refusal, told
from workbook.judges import odd
from workbook.judges.listjobs import BENT, NEVER_GIVEN, bend
from workbook.loop import Hang, LoopThread
from workbook.stream import RpcFailed

LISTS = st.lists(st.integers(0, 9), max_size=8)


def _judge(mine: Any, theirs: Any) -> Judge:
    """Two sides without a world: code that is a plain function."""

    def no_worlds() -> Any:
        raise AssertionError("nobody asked for a world")

    sides = [Side(SimpleNamespace(piece=piece), no_worlds) for piece in (mine, theirs)]  # type: ignore[arg-type]
    return Judge(*sides, inputs=None)


def _play(side: Side, numbers: list[int]) -> Iterator[Seen]:
    yield side.value(f"piece({numbers})", side.code.piece, list(numbers))


def _sentence(mine: Any, theirs: Any = sorted, cases: Any = LISTS) -> str:
    with pytest.raises(AssertionError) as caught:
        _judge(mine, theirs).compare(cases, _play, examples=60)
    return str(caught.value)


def test_what_never_differs_is_right():
    _judge(lambda numbers: sorted(numbers, key=lambda n: n), sorted).compare(LISTS, _play)


def test_what_differs_is_said_of_the_smallest_input():
    assert _sentence(lambda numbers: sorted(set(numbers))) == "piece([0, 0]): expected [0, 0], got [0]"


def test_inputs_that_are_few_are_all_played_in_their_order():
    played = []

    def piece(numbers: list[int]) -> list[int]:
        played.append(numbers)
        return sorted(set(numbers))

    with pytest.raises(AssertionError, match=r"^piece\(\[2, 2, 1\]\): expected \[1, 2, 2\], got \[1, 2\]$"):
        _judge(piece, sorted).each([[1], [2, 1], [2, 2, 1], [3, 3]], _play)
    assert played == [[1], [2, 1], [2, 2, 1]]


def test_an_error_that_says_nothing_is_told_by_its_kind_alone():
    def piece(numbers: list[int]) -> None:
        raise TimeoutError

    with pytest.raises(AssertionError, match=r"your code raised TimeoutError$"):
        _judge(piece, sorted).each([[1]], _play)


def test_what_the_code_raises_is_said_with_what_was_expected_and_keeps_its_line():
    def piece(numbers: list[int]) -> int:
        return 10 // numbers[0]

    with pytest.raises(AssertionError) as caught:
        _judge(piece, lambda numbers: 10 // (numbers[0] or 5) if numbers else 0).compare(LISTS, _play)
    assert (
        str(caught.value) == "piece([]): expected 0, and your code raised IndexError: list index out of range"
    )
    assert caught.traceback[-1].name == "piece"


def test_a_refusal_is_an_answer_that_names_its_fields():
    def refuses(numbers: list[int]) -> int:
        raise InvalidRequest([Violation("numbers", "must be few")])

    assert _sentence(refuses, len) == "piece([]): expected 0, got 'INVALID_ARGUMENT, which blames numbers'"


def test_what_is_not_written_yet_goes_through_at_once():
    calls = []

    def piece(numbers: list[int]) -> None:
        calls.append(numbers)
        raise NotImplementedError("05_listjobs task 1: …")

    with pytest.raises(NotImplementedError, match="05_listjobs task 1"):
        _judge(piece, sorted).compare(LISTS, _play)
    assert len(calls) == 1


def test_who_judges_again_by_the_same_inputs_plays_the_reference_once():
    played = []

    def reference(numbers: list[int]) -> list[int]:
        played.append(numbers)
        return sorted(numbers)

    first = _judge(sorted, reference)
    first.compare(LISTS, _play)
    number = len(played)
    for mine in (sorted, lambda numbers: sorted(set(numbers))):
        again = _judge(mine, reference)
        again.oracles = first.oracles
        if mine is sorted:
            again.compare(LISTS, _play)
            assert len(played) == number
        else:
            with pytest.raises(AssertionError, match=r"expected .*, got "):
                again.compare(LISTS, _play)


def test_inputs_that_are_told_alike_are_not_taken_for_one():
    cases = st.integers(1, 9).map(lambda number: Row("job", UUID(int=1), "queued", columns=_Quiet(n=number)))

    def play(side: Side, row: Row) -> Iterator[Seen]:
        yield side.value(f"piece({row})", side.code.piece, row.columns["n"])

    first = _judge(lambda number: number, lambda number: number)
    first.compare(cases, play)
    again = _judge(lambda number: number if number < 6 else 0, lambda number: number)
    again.oracles = first.oracles
    with pytest.raises(AssertionError, match="expected 6, got 0"):
        again.compare(cases, play)


class _Quiet(dict[str, int]):
    """Nothing of it is told to people."""

    def items(self) -> Any:
        return ()


def test_code_that_is_slow_for_each_input_is_told_so_in_time(monkeypatch):
    monkeypatch.setattr("workbook.judge.LONGEST_SECONDS", 0.02)
    monkeypatch.setattr(patience, "slowness", lambda: 1.0)
    slept = []

    def piece(numbers: list[int]) -> list[int]:
        slept.append(numbers)
        time.sleep(0.005)
        return sorted(numbers)

    with pytest.raises(Hang, match="right code needs 3 s for all"):
        _judge(piece, sorted).compare(LISTS, _play)
    assert len(slept) < 10


def test_a_hang_is_met_once_and_not_for_each_input():
    calls = []

    def piece(numbers: list[int]) -> None:
        calls.append(numbers)
        raise Hang("the event loop stands still")

    with pytest.raises(Hang):
        _judge(piece, sorted).compare(LISTS, _play)
    assert len(calls) == 1


def test_the_inputs_are_the_same_each_time():
    seen: list[list[Any]] = [[], []]
    for one in seen:
        _judge(lambda numbers, one=one: one.append(numbers), lambda numbers: None).compare(LISTS, _play)
    assert seen[0] == seen[1]
    assert len(seen[0]) > 10


def test_a_difference_that_does_not_come_back_is_still_told():
    calls = []

    def once_wrong(numbers: list[int]) -> list[int]:
        calls.append(numbers)
        return [-1] if len(calls) == 5 else sorted(numbers)

    assert "-1" in _sentence(once_wrong)


def test_what_fails_in_the_background_when_all_was_seen_counts():
    judge = _judge(sorted, sorted)

    def check() -> None:
        raise ValueError("in a task that nobody awaits")

    judge.mine.check = check  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="your code raised ValueError: in a task that nobody awaits"):
        judge.compare(LISTS, _play)


def test_what_was_not_seen_counts():
    judge = _judge(sorted, sorted)

    def play(side: Side, numbers: list[int]) -> Iterator[Seen]:
        yield from _play(side, numbers)
        if side is judge.theirs:
            yield Seen("the end", "an event")

    with pytest.raises(AssertionError, match="the end: expected 'an event', got nothing"):
        judge.compare(LISTS, play)


def test_what_the_contract_leaves_open_does_not_count():
    judge = _judge(sorted, sorted)
    judge.compare(LISTS, lambda side, _: iter([Seen("how", OPEN if side is judge.mine else "so")]))


def test_an_error_of_the_reference_is_no_verdict_on_the_learner():
    def broken(numbers: list[int]) -> None:
        raise ZeroDivisionError

    with pytest.raises(AssertionError, match="the reference raised"):
        _judge(sorted, broken).compare(LISTS, _play)


# -- what a side tells


def test_ids_that_the_code_made_are_told_by_their_order_and_those_of_the_input_by_name():
    side = Side(SimpleNamespace(), list)  # type: ignore[arg-type]
    row = Row("job 1", uuid4(), "queued")
    side.knows(row.task_id, row.name)
    first, second = uuid4(), uuid4()
    assert side.plain([first, row.task_id, f'{{"task_id":"{second}"}}', first]) == [
        "new id 1",
        "job 1",
        '{"task_id":"new id 2"}',
        "new id 1",
    ]


def test_a_moment_within_the_play_is_now_and_any_other_is_itself():
    side = Side(SimpleNamespace(), list)  # type: ignore[arg-type]
    side._asked_at -= 2
    began = side._began
    assert side.moment(began + timedelta(seconds=1)) == "now"
    assert side.moment(began + timedelta(seconds=61)) == "in a minute"
    assert side.moment(odd.NOON) == "2024-05-17T12:00:00.654321+00:00"


def test_a_page_token_stays_as_it_came():
    side = Side(SimpleNamespace(), list)  # type: ignore[arg-type]
    token = f"2024-05-17T12:00:00Z/{uuid4()}"
    assert side.plain({"next_page_token": token}) == {"next_page_token": token}


def test_the_first_part_that_differs_is_named():
    here, there = {"a": 1, "jobs": [{"x": 1}, {"x": 2}]}, {"a": 1, "jobs": [{"x": 1}, {"x": 3, "y": 0}]}
    assert narrowed("the answer", here, there) == ("the answer, jobs, number 2, x", 2, 3)
    assert narrowed("the answer", {}, {"a": 1}) == ("the answer, a", ABSENT, 1)


def test_a_call_is_told_with_the_names_of_its_enums():
    assert (
        told("ListJobs", {"state_filter": 1, "type_filter": "a"})
        == "state_filter=JOB_STATE_QUEUED, type_filter='a'"
    )
    assert told("ListJobs", {"state_filter": 99}) == "state_filter=99"


def test_the_words_of_a_refusal_are_open():
    one, other = (
        RpcFailed(grpc.StatusCode.INVALID_ARGUMENT, words, ["job_id"]) for words in ("must be", "is no")
    )
    assert refusal(one) == refusal(other) == "INVALID_ARGUMENT, which blames job_id"


def test_each_way_to_bend_a_token_gives_another_one():
    tokens = ["7", "WyIyMDI0LTA1LTE3VDEyOjAwOjAwKzAwOjAwIiwgImEiXQ==", "2024-05-17T12:00:00+00:00/aa"]
    for token in tokens:
        for way in BENT:
            if way not in NEVER_GIVEN:
                assert bend(token, way) != token, (token, way)


# -- what is judged


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.name)
def test_each_task_that_has_inputs_is_judged_on_them(chapter):
    if importlib.util.find_spec(name := f"workbook.judges.{chapter.name[3:]}") is None:
        pytest.skip("this chapter has no judge yet")
    inputs = importlib.import_module(name)
    source = next(chapter.folder.glob("test_*.py")).read_text("utf-8")
    judged = [task.number for task in chapter.tasks if hasattr(inputs, f"task_{task.number}")]
    assert judged
    for number in judged:
        assert f"def test_task_{number}_agrees_with_the_reference_on_every_input(judge):" in source


def test_a_slow_machine_moves_each_deadline_back(monkeypatch):
    monkeypatch.setattr(patience, "slowness", lambda: 3.2)
    assert patience.stretched(5) == 15
    loop = LoopThread(set())
    try:
        with pytest.raises(Hang, match=r"did not end within 0.3 s"):
            loop.run(_for_ever(), 0.1, "it")
    finally:
        loop.close()


async def _for_ever() -> None:
    await asyncio.Event().wait()
