"""What was refused a moment ago is refused again without asking, and only that."""

import asyncio

import pytest

from services.common.errors import Reason, ServiceError
from services.jobs.operations.asked_lately import AskedLately
from tests.unit.common.virtual_time import run_virtually

SECONDS = 3.0
RUNS = ServiceError(Reason.JOB_NOT_CANCELABLE, "It runs.", job_id="vid_1")


class Provider:
    """Refuses whatever it is asked, and counts how often."""

    def __init__(self) -> None:
        self.lately = AskedLately(seconds=SECONDS)
        self.asked: list[str] = []
        self.at_once = 0

    async def ask(self, job_id: str, *, refuses: bool = True) -> None:
        async with self.lately.asking(job_id):
            self.at_once += 1
            assert self.at_once == 1
            self.asked.append(job_id)
            await asyncio.sleep(1)
            self.at_once -= 1
            if refuses:
                raise RUNS


async def _refusal(provider: Provider, job_id: str = "vid_1") -> ServiceError:
    with pytest.raises(ServiceError) as refused:
        await provider.ask(job_id)
    return refused.value


def test_who_comes_while_it_is_asked_or_just_after_is_told_the_same() -> None:
    async def main() -> list[ServiceError]:
        refusals = await asyncio.gather(*(_refusal(provider) for _ in range(9)))
        await asyncio.sleep(SECONDS - 0.1)
        return [*refusals, await _refusal(provider)]

    provider = Provider()

    for refused in run_virtually(main()):
        assert (refused.reason, refused.message, refused.metadata) == (
            RUNS.reason,
            RUNS.message,
            RUNS.metadata,
        )
    assert provider.asked == ["vid_1"]


def test_it_is_asked_again_when_some_time_has_passed() -> None:
    async def main() -> None:
        await _refusal(provider)
        await asyncio.sleep(SECONDS)
        await _refusal(provider)

    provider = Provider()
    run_virtually(main())

    assert provider.asked == ["vid_1", "vid_1"]


def test_what_was_not_refused_is_asked_each_time() -> None:
    async def main() -> None:
        await provider.ask("vid_1", refuses=False)
        await provider.ask("vid_1", refuses=False)
        await _refusal(provider, "vid_2")

    provider = Provider()
    run_virtually(main())

    assert provider.asked == ["vid_1", "vid_1", "vid_2"]


def test_what_is_over_is_forgotten() -> None:
    async def main() -> None:
        for number in range(5):
            await _refusal(provider, f"vid_{number}")
            await asyncio.sleep(SECONDS)

    provider = Provider()
    run_virtually(main())

    assert len(vars(provider.lately)["_asked"]) == 1
