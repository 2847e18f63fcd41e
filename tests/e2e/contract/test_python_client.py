"""The Python client against the real edge: both contracts, blocking and for asyncio, side by side."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image
from reelgate_client import (
    AsyncNextAPI,
    AsyncSeedancee2,
    ConflictError,
    InsufficientCreditsError,
    InvalidRequestError,
    NextAPI,
    NotFoundError,
    ReelgateError,
    Seedancee2,
    VideoFailedError,
    WaitTimeoutError,
    webhooks,
)

from tests.e2e.local_stack import Account, Stack
from tests.e2e.receiver import Receiver
from tests.e2e.thief import thief
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLASSES: dict[tuple[str, str], Any] = {
    ("seedancee2", "sync"): Seedancee2,
    ("seedancee2", "async"): AsyncSeedancee2,
    ("nextapi", "sync"): NextAPI,
    ("nextapi", "async"): AsyncNextAPI,
}
KINDS = [pytest.param(kind, id="-".join(kind)) for kind in CLASSES]


class Program:
    """A customer's program that uses one kind of client. It blocks in a thread of its own."""

    def __init__(self, contract: str, mode: str, account: Account, edge: str) -> None:
        self.contract, self.mode, self.account = contract, mode, account
        self.client = CLASSES[contract, mode](account.keys["test"], edge, environment="test", max_retries=8)

    async def do(self, work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Returns what a method returns, or a list of what it iterates over."""
        if self.mode == "async":
            made = work(*arguments, **options)
            return await made if inspect.isawaitable(made) else [each async for each in made]

        def blocking() -> Any:
            made = work(*arguments, **options)
            return list(made) if inspect.isgenerator(made) else made

        return await asyncio.to_thread(blocking)

    def body(self, prompt: str, **more: Any) -> dict[str, Any]:
        """Returns the cheapest request."""
        if self.contract == "nextapi":
            small = {"duration_seconds": 4, "resolution": "480p"}
            return {"model": "seedance-2.0-mini", "prompt": prompt, **small, **more}
        metadata = {"metadata": more.pop("metadata")} if "metadata" in more else {}
        wanted: dict[str, Any] = {"prompt": prompt, "duration": 4, "resolution": "480p", **more}
        return {"model": "mini", "input": wanted, **metadata}

    async def close(self) -> None:
        await self.do(self.client.close if self.mode == "sync" else self.client.aclose)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def programs(stack: Stack) -> AsyncIterator[dict[tuple[str, str], Program]]:
    accounts = {
        contract: await asyncio.to_thread(stack.create_account, f"client-{contract}", contract=contract)
        for contract in ("seedancee2", "nextapi")
    }
    made = {kind: Program(*kind, accounts[kind[0]], stack.edge) for kind in CLASSES}
    yield made
    for program in made.values():
        await program.close()


@pytest.fixture(params=KINDS)
def program(request: pytest.FixtureRequest, programs: dict[tuple[str, str], Program]) -> Program:
    return programs[request.param]


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "red.png"
    Image.new("RGB", (640, 640), "red").save(path)
    return path


async def walk(program: Program, picture: Path, folder: Path) -> None:
    client, told = program.client, []
    upload = await program.do(client.uploads.create, picture)
    assert (upload.status, (await program.do(client.uploads.get, upload.id)).url) == ("arrived", upload.url)
    body = program.body("red", image_urls=[upload.url], metadata={"order": 7}, return_last_frame=True)

    made = await program.do(client.videos.create, **body)
    ended = await program.do(made.wait, PATIENCE_SECONDS, lambda video: told.append(video.status))
    saved = await program.do(ended.download, folder / "boat.mp4")
    await program.do(ended.download, folder / "last.jpg", file="last_frame")

    assert saved.read_bytes()[4:8] == b"ftyp"
    assert (folder / "last.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert (told[0], told[-1]) == (
        ("pending", "completed") if program.contract == "seedancee2" else ("queued", "succeeded")
    )
    (folder / f"again.mp4.{made.id}.video.part").write_bytes(saved.read_bytes()[:1000])
    assert (await program.do(ended.download, folder / "again.mp4")).read_bytes() == saved.read_bytes()
    again = await program.do(client.videos.get, made.id)
    assert (again.data, again.data["metadata"]) == (ended.data, {"order": 7})
    events = await program.do(again.events)
    assert (events[-1].type, again.succeeded) == ("end", True)
    assert made.id in [video.id for video in await program.do(client.videos.list, limit=1)]
    assert (await program.do(again.delete))["deleted"] is True
    assert (await program.do(client.uploads.delete, upload.id))["deleted"] is True
    with pytest.raises(NotFoundError):
        await program.do(client.uploads.get, upload.id)


async def test_a_video_is_made_saved_and_deleted_by_every_kind_of_client(
    programs: dict[tuple[str, str], Program], picture: Path, tmp_path: Path
) -> None:
    folders = {kind: tmp_path / "-".join(kind) for kind in programs}
    for folder in folders.values():
        folder.mkdir()

    await asyncio.gather(*(walk(program, picture, folders[kind]) for kind, program in programs.items()))


async def fail(program: Program) -> None:
    with pytest.raises(VideoFailedError) as raised:
        await program.do(program.client.videos.generate, **program.body("[simulate: fail]"))

    assert (raised.value.code, raised.value.video.running) == ("generation_failed", False)
    with pytest.raises(ConflictError):
        await program.do(raised.value.video.cancel)


async def test_a_failure_raises_what_the_contract_says(programs: dict[tuple[str, str], Program]) -> None:
    await asyncio.gather(*map(fail, programs.values()))


async def test_a_wait_ends_in_time_and_the_video_can_be_cancelled(program: Program) -> None:
    made = await program.do(program.client.videos.create, **program.body("[simulate: queue 600]"))

    with pytest.raises(WaitTimeoutError) as raised:
        await program.do(made.wait, 0.5)
    cancelled = await program.do(raised.value.video.cancel)

    code = "cancelled" if program.contract == "seedancee2" else "canceled"
    assert (cancelled.data["error"]["code"], cancelled.running) == (code, False)


async def test_refusals_have_their_classes_and_are_not_repeated(program: Program) -> None:
    client = program.client
    seconds = "duration" if program.contract == "seedancee2" else "duration_seconds"
    with pytest.raises(InvalidRequestError, match=seconds) as invalid:
        await program.do(client.videos.create, **program.body("x", **{seconds: 99}))
    with pytest.raises(InsufficientCreditsError):
        await program.do(client.videos.create, **program.body("[simulate: no credits]"))
    with pytest.raises(NotFoundError):
        await program.do(client.videos.get, "vid_01jz8b7q4x8k2p9w3m5c6n7r8s")

    assert invalid.value.request_id


async def test_a_key_for_another_body_is_a_conflict_and_for_the_same_a_replay(program: Program) -> None:
    create, key = program.client.videos.create, f"order-{program.mode}"
    made = await program.do(create, **program.body("[simulate: fail]"), idempotency_key=key)

    with program.client.with_raw_response() as answers:
        again = await program.do(create, **program.body("[simulate: fail]"), idempotency_key=key)
    with pytest.raises(ConflictError, match=r"(?i)idempotency"):
        await program.do(create, **program.body("[simulate: expire]"), idempotency_key=key)

    assert again.id == made.id
    assert answers[-1].headers["idempotent-replayed"] == "true"
    assert int(answers[-1].headers["x-ratelimit-remaining"]) > 0


async def test_an_account_is_looked_at(program: Program) -> None:
    client = program.client
    assert (await program.do(client.balance)).keys() == {"available", "held"}
    if program.contract == "seedancee2":
        models = await program.do(client.models.list)
        detail = await program.do(client.models.get, models[0]["id"])
        usage = await program.do(client.usage, limit=7)
        estimate = await program.do(client.videos.estimate, **program.body("x"))
        assert detail["credits_per_second"].keys() == set(models[0]["resolutions"])
        assert usage["summary"]["total_jobs"] == sum(each["total_jobs"] for each in usage["by_model"])
        assert (estimate["credits"], estimate["covered"]) == (20, True)


async def test_endpoints_are_managed_and_what_they_get_is_verified(
    program: Program, receiver: Receiver
) -> None:
    endpoints, name = program.client.webhook_endpoints, f"client-{program.contract}-{program.mode}"
    made = await program.do(endpoints.create, url=receiver.hook(name), description="orders")
    delivery = await program.do(endpoints.test, made["id"])
    webhook = await receiver.first(name, seconds=PATIENCE_SECONDS)
    rotated = await program.do(endpoints.rotate_secret, made["id"])
    changed = await program.do(endpoints.update, made["id"], description="bills")
    confirmed = await program.do(endpoints.confirm_secret, made["id"])

    event: Any = webhooks.verify(
        webhook.body, webhook.headers, [rotated["secret"], made["secret"]], now=webhook.at.timestamp()
    )
    with pytest.raises(ReelgateError, match="No signature fits"):
        webhooks.verify(webhook.body, webhook.headers, rotated["secret"], now=webhook.at.timestamp())
    assert event["data"]["status"] == "test"
    assert (changed["description"], changed["rotating"], confirmed["rotating"]) == ("bills", True, False)
    assert made["id"] in [each["id"] for each in await program.do(endpoints.list)]
    await _delivered(program, delivery["id"])
    listed = await program.do(program.client.webhook_deliveries.list, endpoint_id=made["id"], limit=1)
    assert [each["id"] for each in listed] == [delivery["id"]]
    await program.do(program.client.webhook_deliveries.redeliver, delivery["id"])
    assert len(await receiver.several(name, 2, seconds=PATIENCE_SECONDS)) == 2
    redelivery = await program.do(program.client.redeliveries.create, start=made["created_at"])
    assert (await program.do(program.client.redeliveries.get, redelivery["id"]))["id"] == redelivery["id"]
    assert (await program.do(endpoints.delete, made["id"]))["deleted"] is True
    with pytest.raises(NotFoundError):
        await program.do(endpoints.get, made["id"])


async def _delivered(program: Program, delivery_id: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await program.do(program.client.webhook_deliveries.get, delivery_id))["status"] != "delivered":  # noqa: ASYNC110  polling is the way
            await asyncio.sleep(0.1)


async def test_a_listener_gets_what_is_signed_with_its_secret(program: Program) -> None:
    listeners = program.client.webhook_listeners
    made = await program.do(listeners.create)
    await program.do(program.client.videos.create, **program.body("[simulate: fail]"))

    found: list[Any] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not found:
            found = await program.do(listeners.read, made["id"], after=0, wait=5)

    headers = {each["name"]: each["value"] for each in found[0]["headers"]}
    assert webhooks.verify(found[0]["body"].encode(), headers, made["secret"])
    assert made["id"] in [each["id"] for each in await program.do(listeners.list)]
    assert (await program.do(listeners.delete, made["id"]))["deleted"] is True


async def test_a_lost_answer_and_a_retry_are_one_job(program: Program, stack: Stack) -> None:
    metadata = {"lost": program.mode}
    async with thief(stack.edge, 2) as (proxy, url):
        robbed = Program(program.contract, program.mode, program.account, url)
        made = await robbed.do(
            robbed.client.videos.create, **robbed.body("[simulate: fail]", metadata=metadata)
        )
        await robbed.close()

    assert [answer.partition(b"\r\n")[0] for answer in proxy.stolen] == [b"HTTP/1.1 200 OK"] * 2
    assert made.id.encode() in proxy.stolen[0]
    listed = await program.do(program.client.videos.list)
    assert [video.id for video in listed if video.data.get("metadata") == metadata] == [made.id]
