"""Duties end with the block they run beside, even if a cancellation is lost on the way."""

import asyncio

import pytest

from services.common import loop
from services.common.loop import Duty, performing, running


async def _loses_one(begun: asyncio.Event) -> int:
    begun.set()
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        begun.clear()
    return 1


async def test_duties_end_though_a_cancellation_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CANCEL_AGAIN_SECONDS", 0.01)
    begun = asyncio.Event()

    async with performing(Duty("lossy", lambda: _loses_one(begun), idle_seconds=0)):
        await begun.wait()

    assert not begun.is_set()


async def test_what_runs_beside_a_block_ends_though_a_cancellation_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "CANCEL_AGAIN_SECONDS", 0.01)
    begun = asyncio.Event()

    async def duty() -> None:
        await _loses_one(begun)
        await asyncio.sleep(3600)

    async with running(duty()):
        await begun.wait()

    assert not begun.is_set()
