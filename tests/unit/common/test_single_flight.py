"""Many callers with one question cost one answer, and none of them can spoil it for the others."""

import asyncio

import pytest

from services.common.single_flight import SingleFlight


class Source:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self.answer = asyncio.Event()

    async def ask(self) -> int:
        self.begun += 1
        number = self.begun
        await self.answer.wait()
        return number


async def test_callers_of_one_key_share_an_answer_and_the_next_asks_again() -> None:
    flights, source = SingleFlight[str, int](), Source()
    source.answer.set()

    together = await asyncio.gather(*(flights.run("key", source.ask) for _ in range(3)))
    later = await flights.run("key", source.ask)

    assert together == [1, 1, 1]
    assert later == 2


async def test_other_keys_have_answers_of_their_own() -> None:
    flights, source = SingleFlight[str, int](), Source()
    source.answer.set()

    first, second = await asyncio.gather(flights.run("a", source.ask), flights.run("b", source.ask))

    assert (first, second) == (1, 2)


async def test_a_caller_that_leaves_ends_nothing_for_the_others() -> None:
    flights, source = SingleFlight[str, int](), Source()
    leaving, staying = (asyncio.create_task(flights.run("key", source.ask)) for _ in range(2))
    await asyncio.sleep(0)

    leaving.cancel()
    await asyncio.sleep(0)
    source.answer.set()

    assert await staying == 1
    assert leaving.cancelled()


async def test_a_failure_reaches_all_who_wait_and_is_not_remembered() -> None:
    flights, source = SingleFlight[str, int](), Source()
    source.answer.set()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise LookupError

    failed = await asyncio.gather(*(flights.run("key", fail) for _ in range(2)), return_exceptions=True)

    assert [type(each) for each in failed] == [LookupError, LookupError]
    assert await flights.run("key", source.ask) == 1


async def test_what_may_not_begin_leaves_nothing_behind() -> None:
    flights, source = SingleFlight[str, int](), Source()
    source.answer.set()

    def refuse() -> object:
        raise PermissionError

    with pytest.raises(PermissionError):
        await flights.run("key", refuse)  # type: ignore[arg-type]
    assert await flights.run("key", source.ask) == 1
