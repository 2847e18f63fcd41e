import asyncio
from collections.abc import Sequence

import pytest

from services.common.postgres.batching import Batcher


class Slow:
    """Doubles numbers, as soon as the test lets it; negative ones break their batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started = asyncio.Event()
        self.allowed = asyncio.Event()

    async def run(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.started.set()
        await self.allowed.wait()
        if min(items) < 0:
            raise ValueError(items)
        return [2 * item for item in items]


async def test_what_arrives_during_a_batch_makes_up_the_next_one() -> None:
    slow = Slow()
    batcher = Batcher(slow.run, items_max=10, name="double", name_of=str)
    first = asyncio.create_task(batcher.submit(1))
    await slow.started.wait()
    later = asyncio.gather(*(batcher.submit(item) for item in (2, 3, 4)))
    await asyncio.sleep(0)

    slow.allowed.set()

    assert await first == 2
    assert await later == [4, 6, 8]
    assert slow.batches == [[1], [2, 3, 4]]


async def test_what_arrives_turn_by_turn_makes_up_one_batch() -> None:
    slow = Slow()
    slow.allowed.set()
    batcher = Batcher(slow.run, items_max=10, name="double", name_of=str)
    answers = []

    for item in range(4):
        answers.append(asyncio.create_task(batcher.submit(item)))
        await asyncio.sleep(0)

    assert await asyncio.gather(*answers) == [0, 2, 4, 6]
    assert slow.batches == [[0, 1, 2, 3]]


async def test_a_batch_has_a_largest_size() -> None:
    slow = Slow()
    slow.allowed.set()
    batcher = Batcher(slow.run, items_max=3, name="double", name_of=str)

    answers = await asyncio.gather(*(batcher.submit(item) for item in range(7)))

    assert answers == [0, 2, 4, 6, 8, 10, 12]
    assert [len(batch) for batch in slow.batches] == [3, 3, 1]


async def test_a_caller_who_gave_up_while_waiting_is_left_out() -> None:
    slow = Slow()
    batcher = Batcher(slow.run, items_max=10, name="double", name_of=str)
    first = asyncio.create_task(batcher.submit(1))
    await slow.started.wait()
    second, third = (asyncio.create_task(batcher.submit(item)) for item in (2, 3))
    await asyncio.sleep(0)

    second.cancel()
    slow.allowed.set()

    assert (await first, await third) == (2, 6)
    assert slow.batches == [[1], [3]]
    with pytest.raises(asyncio.CancelledError):
        await second


async def test_a_caller_who_gives_up_during_the_batch_does_not_disturb_the_others() -> None:
    slow = Slow()
    batcher = Batcher(slow.run, items_max=10, name="double", name_of=str)
    both = [asyncio.create_task(batcher.submit(item)) for item in (1, 2)]
    await slow.started.wait()

    both[0].cancel()
    slow.allowed.set()

    assert await both[1] == 4


async def test_what_comes_in_the_rest_after_a_batch_waits_for_its_end_and_what_comes_alone_does_not() -> None:
    slow = Slow()
    slow.allowed.set()
    batcher = Batcher(slow.run, items_max=10, name="double", name_of=str, rest_seconds=3600)

    alone = await batcher.submit(1)
    waiting = [asyncio.create_task(batcher.submit(item)) for item in (2, 3)]
    for _ in range(100):
        await asyncio.sleep(0)

    assert alone == 2
    assert slow.batches == [[1]]
    for task in waiting:
        task.cancel()


async def test_what_came_in_the_rest_goes_together() -> None:
    slow = Slow()
    slow.allowed.set()
    batcher = Batcher(slow.run, items_max=10, name="double", name_of=str, rest_seconds=0.001)

    await batcher.submit(1)
    answers = await asyncio.gather(*(batcher.submit(item) for item in (2, 3)))

    assert answers == [4, 6]
    assert slow.batches == [[1], [2, 3]]
