"""Duties of a process begin one after the other: at once they would each take a database connection of their own."""

import asyncio

import pytest

from services.common import loop
from services.common.loop import Duty, performing


async def test_the_first_begins_at_once_and_the_next_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "APART_SECONDS", 3600)
    begun: list[str] = []
    first_has = asyncio.Event()

    async def first() -> int:
        begun.append("first")
        first_has.set()
        return 0

    async def second() -> int:
        begun.append("second")
        return 0

    async with performing(Duty("first", first, idle_seconds=3600), Duty("second", second, idle_seconds=3600)):
        await first_has.wait()
        await asyncio.sleep(0)

        assert begun == ["first"]


async def test_all_of_them_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "APART_SECONDS", 0.001)
    begun = [asyncio.Event() for _ in range(3)]

    async def begin(number: int) -> int:
        begun[number].set()
        return 0

    duties = [
        Duty(str(number), lambda number=number: begin(number), idle_seconds=3600)  # type: ignore[misc]
        for number in range(3)
    ]
    async with performing(*duties):
        for each in begun:
            await each.wait()
