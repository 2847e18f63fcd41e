"""The adapter for another Reelgate, with a real one at the other end: it is ordered from, searched, watched and stopped."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import aiohttp
import pytest
import pytest_asyncio

from services.upstream.provider import (
    BrokenCause,
    BrokenError,
    Done,
    Hint,
    Order,
    Pending,
    RefusalKind,
    Refused,
    RefusedError,
)
from services.upstream.providers.reelgate.adapter import KIND, ReelgateProvider
from tests.contract.stages.stage import varied
from tests.e2e.local_stack import Account, Stack
from tests.e2e.receiver import Receiver
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

ORDER = Order(
    model="seedance-2.0-mini",
    prompt="a boat in a storm",
    duration_seconds=4,
    resolution="480p",
    aspect_ratio="16:9",
    generate_audio=False,
    watermark=False,
    return_last_frame=False,
    seed=7,
)


@dataclass(frozen=True, kw_only=True)
class Far:
    """Another Reelgate, and us as its customer."""

    provider: ReelgateProvider
    account: Account
    session: aiohttp.ClientSession

    async def submit(self, order: Order, *, attempt: str, callback_url: str | None = None) -> str:
        return await self.provider.submit(
            order, correlation_id=attempt, callback_url=callback_url, timeout_seconds=PATIENCE_SECONDS
        )

    async def find(self, attempt: str) -> str | None:
        return await self.provider.find(
            attempt, model=ORDER.model, created_after=0, timeout_seconds=PATIENCE_SECONDS
        )

    async def check(self, task_id: str) -> Pending | Done | Refused:
        return await self.provider.check(task_id, timeout_seconds=PATIENCE_SECONDS)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def far(stack: Stack) -> AsyncIterator[Far]:
    account = stack.create_account("reseller", credits_each="1000", contract="nextapi")
    async with aiohttp.ClientSession() as session:
        provider = ReelgateProvider(
            session=session,
            base_url=f"{stack.edge}/v1",
            api_key=account.keys["test"],
            callback_secret=account.webhook_secrets["test"],
        )
        yield Far(provider=provider, account=account, session=session)


async def test_an_order_is_rendered_and_its_signed_events_name_it(far: Far, receiver: Receiver) -> None:
    task_id = await far.submit(ORDER, attempt="att_events", callback_url=receiver.hook("far"))
    events = await receiver.several("far", 3, seconds=PATIENCE_SECONDS)

    answer = await far.check(task_id)
    assert isinstance(answer, Done)
    assert answer.ended_at is not None
    headers = far.provider.media_headers(answer.video_url)
    async with far.session.get(answer.video_url, headers=headers) as response:
        assert response.status == 200
        assert (await response.read())[4:8] == b"ftyp"
    for event in events:
        hint = await far.provider.read_callback(event.headers, event.body, model=ORDER.model)
        forged = await far.provider.read_callback(event.headers, event.body + b" ", model=ORDER.model)
        assert hint == Hint(task_id=task_id, is_authentic=True)
        assert forged is None


async def test_an_order_that_came_twice_is_one_job_which_is_found_by_its_attempt(far: Far) -> None:
    order = replace(ORDER, prompt="[simulate: queue 9999]")

    task_id = await far.submit(order, attempt="att_twice")

    assert await far.submit(order, attempt="att_twice") == task_id
    assert await far.find("att_twice") == task_id
    assert await far.find("att_never") is None
    assert await far.provider.carries(task_id, "att_twice", timeout_seconds=PATIENCE_SECONDS)
    assert not await far.provider.carries(task_id, "att_never", timeout_seconds=PATIENCE_SECONDS)
    assert isinstance(await far.check(task_id), Pending)
    assert await far.provider.cancel(task_id, timeout_seconds=PATIENCE_SECONDS)
    assert isinstance(await far.check(task_id), Refused)


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("[simulate: moderated video]", RefusalKind.CONTENT),
        ("[simulate: bad image]", RefusalKind.INPUT_MEDIA),
        ("[simulate: fail]", RefusalKind.FAILED),
    ],
)
async def test_a_job_that_failed_there_says_why(
    far: Far, receiver: Receiver, prompt: str, kind: RefusalKind
) -> None:
    name = f"far-{kind}"
    task_id = await far.submit(
        replace(ORDER, prompt=prompt, image_urls=(receiver.image("red"),)),
        attempt=f"att_{kind}",
        callback_url=receiver.hook(name),
    )
    answer: Pending | Done | Refused = Pending(running=False)
    count = 1
    while isinstance(answer, Pending):
        await receiver.several(name, count, seconds=PATIENCE_SECONDS)
        answer, count = await far.check(task_id), count + 1

    assert isinstance(answer, Refused)
    assert answer.kind is kind


async def test_refusals_there_are_what_they_are_here(far: Far, stack: Stack) -> None:
    with pytest.raises(RefusedError) as refused:
        await far.submit(replace(ORDER, prompt="[simulate: refused prompt]"), attempt="att_refused")
    with pytest.raises(RefusedError) as impossible:
        await far.submit(replace(ORDER, duration_seconds=99), attempt="att_impossible")
    with pytest.raises(BrokenError) as unknown:
        await far.submit(replace(ORDER, model="seedance-9"), attempt="att_unknown")
    with pytest.raises(BrokenError) as poor:
        await far.submit(replace(ORDER, prompt="[simulate: no credits]"), attempt="att_poor")
    stranger = KIND.open(session=far.session, base_url=f"{stack.edge}/v1", api_key="nxa_test_sk_wrong")
    with pytest.raises(BrokenError) as wrong_key:
        await stranger.find("att_1", model=ORDER.model, created_after=0, timeout_seconds=PATIENCE_SECONDS)

    assert refused.value.refused.kind is RefusalKind.CONTENT
    assert impossible.value.refused.kind is RefusalKind.PARAMETERS
    assert unknown.value.cause is BrokenCause.MODEL
    assert poor.value.cause is BrokenCause.QUOTA
    assert wrong_key.value.cause is BrokenCause.CREDENTIAL
    assert await far.check("job_01m80djpcnm6nyzxe0nhb24fer") == Refused(
        kind=RefusalKind.EXPIRED, detail="job unknown"
    )


async def test_every_order_that_customers_can_cause_is_taken(far: Far) -> None:
    waiting = replace(ORDER, model="seedance-2.0-pro", prompt="[simulate: overload 9999]")
    orders = [
        order
        for order in varied(waiting, KIND.features)
        if (order.start_image_url is None) == (order.end_image_url is None)
    ]

    ids = {await far.submit(order, attempt=f"att_varied_{place}") for place, order in enumerate(orders)}

    assert len(ids) == len(orders)
