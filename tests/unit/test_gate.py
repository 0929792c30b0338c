"""The gate: who is inside is seen out, and every call that it ends or refuses hears why."""

import asyncio
from contextlib import suppress

import pytest
from scheduler import gate as gates
from scheduler.errors import Draining
from scheduler.gate import Gate

from tests.patience import deadline, within

A_LONG_TIME = 3_600
DOORS = {"call": Gate.call, "visit": Gate.visit}


async def inside(gate, door, stay):
    """A task that is inside of the gate and does `stay()`."""
    entered = asyncio.Event()

    async def come():
        with await door(gate):
            entered.set()
            await stay()

    task = asyncio.create_task(come())
    await within(entered.wait(), "it is inside")
    return task


async def for_ever():
    await asyncio.Event().wait()


@pytest.mark.parametrize("door", DOORS)
async def test_what_the_gate_ends_hears_why(door):
    gate = Gate()
    task = await inside(gate, DOORS[door], for_ever)
    await gate.close(0)
    assert task.done()
    with pytest.raises(Draining):
        await task


async def test_what_the_gate_has_not_ended_was_ended_by_its_client():
    gate = Gate()
    task = await inside(gate, Gate.call, for_ever)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_that_swallows_a_cancellation_is_cancelled_again(monkeypatch):
    async def swallow_one():
        try:
            await for_ever()
        except asyncio.CancelledError:
            await for_ever()

    monkeypatch.setattr(gates, "ENDING_SECONDS", A_LONG_TIME)
    gate = Gate()
    task = await inside(gate, Gate.call, swallow_one)
    await within(gate.close(0), "it was cancelled twice")
    assert isinstance(task.exception(), Draining)


async def test_a_call_that_swallows_every_cancellation_does_not_hold_the_gate_up(monkeypatch):
    monkeypatch.setattr(gates, "ENDING_SECONDS", 0.01)
    go_on = asyncio.Event()

    async def hold_on():
        while not go_on.is_set():
            with suppress(asyncio.CancelledError):
                await go_on.wait()

    gate = Gate()
    task = await inside(gate, Gate.call, hold_on)
    await within(gate.close(0), "the gate is closed")
    assert not task.done()
    go_on.set()
    await task


async def test_the_gate_is_closed_as_soon_as_the_last_call_has_left():
    gate, go_on = Gate(), asyncio.Event()
    tasks = [await inside(gate, Gate.call, go_on.wait) for _ in range(2)]
    visit = await inside(gate, Gate.visit, for_ever)
    closing = asyncio.create_task(gate.close(A_LONG_TIME))
    await asyncio.sleep(0)
    with pytest.raises(Draining):
        await gate.call()
    assert not closing.done()
    go_on.set()
    await within(closing, "the gate is closed, and its grace is not over")
    assert [task.exception() for task in tasks] == [None, None]
    assert isinstance(visit.exception(), Draining)


async def test_calls_are_held_until_none_has_come_for_a_moment_and_refused_once_they_are_released(
    monkeypatch,
):
    gate, held = Gate(), []

    async def moment(seconds, event):
        """Two calls come in the first two moments, and none in the third."""
        assert not event.is_set()
        if len(held) < 2:
            held.append(asyncio.create_task(gate.call()))
            await event.wait()

    await gate.close(0)
    monkeypatch.setattr(gates, "_within", moment)
    monkeypatch.setattr(gates, "HOLDING_SECONDS", A_LONG_TIME)
    async with deadline("the gate holds whoever comes"):
        await gate.hold()
    assert [task.done() for task in held] == [False, False]
    gate.release()
    for task in held:
        with pytest.raises(Draining):
            await within(task, "it is refused")


async def test_calls_that_come_on_and_on_do_not_hold_the_gate_up(monkeypatch):
    gate = Gate()
    coming = set()

    async def moment(seconds, event):
        coming.add(asyncio.create_task(gate.call()))
        await event.wait()

    await gate.close(0)
    monkeypatch.setattr(gates, "_within", moment)
    monkeypatch.setattr(gates, "HOLDING_SECONDS", 0.01)
    await within(gate.hold(), "the gate holds no longer")
    gate.release()
    await asyncio.gather(*coming, return_exceptions=True)
