"""Who is let in: over REST and over gRPC alike, from the key alone."""

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from google.protobuf.json_format import MessageToDict
from reelgate.internal.ledger.v1 import ledger_service_pb2, ledger_service_pb2_grpc
from reelgate.video.v1 import video_pb2, video_service_pb2, video_service_pb2_grpc

from services.common.auth.key_forms import KEY_PREFIXES, RANDOM_LENGTH, older_checksum
from tests.e2e.contract.conftest import History, path_of
from tests.e2e.customer import VIDEOS, open_customer
from tests.e2e.edge.client import Answer, assert_refused
from tests.e2e.local_stack import Stack
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = KEY_PREFIXES["seedancee2", "live"] + "0" * RANDOM_LENGTH
UNKNOWN_KEY = BODY + older_checksum(BODY)
"""Well formed, and nobody's."""
ENDPOINTS = (VIDEOS, f"{VIDEOS}/vid_1", "/v1/models", "/v1/models/pro", "/v1/usage", "/v1/balance")


def assert_locked(answer: Answer) -> None:
    message = "API key is missing, invalid, or disabled."
    assert_refused(answer, 401, message, code="invalid_api_key", kind="authentication_error")


@pytest.fixture
def key(history: History) -> str:
    return history.account.keys["live"]


@pytest_asyncio.fixture(loop_scope="session")
async def channel(stack: Stack) -> AsyncIterator[grpc.aio.Channel]:
    """The public port of jobs, past the edge."""
    async with grpc.aio.insecure_channel(stack.status()["grpc"]["jobs"]["public"]) as opened:
        yield opened


BAD_HEADERS = {
    "no key": {},
    "wrong key": {"Authorization": f"Bearer {UNKNOWN_KEY}"},
    "wrong key as x-api-key": {"x-api-key": UNKNOWN_KEY},
    "mistyped key": {"Authorization": f"Bearer {UNKNOWN_KEY[:-1]}{'0' if UNKNOWN_KEY[-1] != '0' else '1'}"},
    "no key at all": {"Authorization": "Bearer sk_seedancee2_live_xxxxx"},
    "no scheme": {"Authorization": UNKNOWN_KEY},
    "empty": {"Authorization": "", "x-api-key": ""},
}


@pytest.mark.parametrize("case", BAD_HEADERS)
async def test_nobody_comes_in_without_a_valid_key(history: History, case: str) -> None:
    headers = BAD_HEADERS[case]
    reads = [await history.customer.send("GET", path, headers=headers) for path in ENDPOINTS]

    creation = await history.customer.send("POST", VIDEOS, {"model": "mini"}, headers=headers)

    for answer in (*reads, creation):
        assert_locked(answer)


async def test_either_header_carries_a_key_and_authorization_wins(history: History, key: str) -> None:
    async def status(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await history.customer.send("GET", "/v1/models", headers=named)).status

    assert await status(Authorization=f"Bearer {key}") == 200
    assert await status(authorization=f"bearer {key}") == 200
    assert await status(x_api_key=key) == 200
    assert await status(Authorization=f"Bearer {key}", x_api_key=UNKNOWN_KEY) == 200
    assert await status(Authorization=f"Bearer {UNKNOWN_KEY}", x_api_key=key) == 401
    assert await status(Authorization="Basic YTpi", x_api_key=key) == 401


async def test_a_disabled_key_soon_stops_working_everywhere(stack: Stack, history: History) -> None:
    made = stack.answer("key", "create", history.account.account_id, "--environment", "live")
    async with open_customer(stack.edge, made["secret"]) as customer:
        for path in ("/v1/models", "/v1/balance"):
            await customer.get(path)

        stack.answer("key", "disable", made["key_id"])

        deadline = time.monotonic() + PATIENCE_SECONDS
        for path in ("/v1/models", "/v1/balance"):
            while (answer := await customer.send("GET", path)).status == 200:
                assert time.monotonic() < deadline, f"{path} still works"
                await asyncio.sleep(0.1)
            assert_locked(answer)


async def test_other_accounts_and_environments_do_not_see_a_video(stack: Stack, history: History) -> None:
    stranger = stack.create_account("stranger")
    for key in (*stranger.keys.values(), history.account.keys["test"]):
        async with open_customer(stack.edge, key) as other:
            for video in history.created.values():
                answer = await other.send("GET", path_of(video))
                message = f'There is no task "{video["id"]}".'
                assert_refused(answer, 404, message, code="task_not_found")
            assert await other.get(VIDEOS) == []
            assert (await other.get("/v1/usage"))["summary"]["total_jobs"] == 0
            assert (await other.get("/v1/balance"))["held"] == 0


async def test_a_test_key_has_videos_and_credits_of_its_own(stack: Stack, history: History) -> None:
    live_before = await history.customer.get("/v1/balance")
    account = stack.create_account("two sides", credits_each="100")
    live_key, test_key = account.keys["live"], account.keys["test"]
    body = {"model": "mini", "input": {"prompt": "[simulate: overload 9999]"}}
    async with open_customer(stack.edge, live_key) as live, open_customer(stack.edge, test_key) as test:
        created = await test.create(body)

        answer = await live.send("GET", path_of(created))
        balances = [await customer.get("/v1/balance") for customer in (live, test)]

        assert_refused(answer, 404, f'There is no task "{created["id"]}".', code="task_not_found")
        assert balances == [{"available": 100, "held": 0}, {"available": 50, "held": 50}]
        assert (await test.get(path_of(created)))["status"] == "pending"
    assert await history.customer.get("/v1/balance") == live_before


async def test_a_key_of_the_other_contract_opens_only_what_serves_both(stack: Stack) -> None:
    account = stack.answer("account", "create", "other contract", "--contract", "nextapi", "--credits", "5")
    async with open_customer(stack.edge, account["keys"]["live"]) as customer:
        assert_locked(await customer.send("GET", "/v1/models"))
        assert_locked(await customer.send("POST", VIDEOS, {"model": "mini"}))
        assert await customer.get("/v1/balance") == {"available": 5, "held": 0}


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
async def test_the_same_key_works_over_grpc(
    history: History, channel: grpc.aio.Channel, key: str, header: str
) -> None:
    metadata = ((header, f"Bearer {key}" if header == "authorization" else key),)
    call = video_service_pb2_grpc.VideoServiceStub(channel).GetVideo

    for name in ("full", "fail", "pending"):
        request = video_service_pb2.GetVideoRequest(id=history.created[name]["id"])
        found = await call(request, metadata=metadata, timeout=PATIENCE_SECONDS)
        assert MessageToDict(found, preserving_proto_field_name=True) == history.polls[name].json


@pytest.mark.parametrize("metadata", [(), (("authorization", f"Bearer {UNKNOWN_KEY}"),)])
async def test_grpc_without_a_valid_key_is_unauthenticated(
    history: History, channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...]
) -> None:
    request = video_service_pb2.GetVideoRequest(id=history.created["full"]["id"])

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await video_service_pb2_grpc.VideoServiceStub(channel).GetVideo(
            request, metadata=metadata, timeout=PATIENCE_SECONDS
        )

    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_field_that_rest_drops_is_refused_over_grpc(
    history: History, channel: grpc.aio.Channel, key: str
) -> None:
    unknown_field = b"\xfa\x3f\x01x"  # number 1023, one byte of text
    sent = video_pb2.VideoInput(prompt="waves").SerializeToString() + unknown_field
    request = video_service_pb2.CreateVideoRequest(model="mini", input=video_pb2.VideoInput.FromString(sent))

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await video_service_pb2_grpc.VideoServiceStub(channel).CreateVideo(
            request, metadata=(("x-api-key", key),), timeout=PATIENCE_SECONDS
        )

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.value.details() or "").startswith(
        "Field number 1023 of input is not known. Remove it. Fields of input: prompt, "
    )


async def test_a_key_opens_nothing_internal(channel: grpc.aio.Channel, key: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ledger_service_pb2_grpc.LedgerServiceStub(channel).ReleaseHold(
            ledger_service_pb2.ReleaseHoldRequest(hold_id="vid_1"),
            metadata=(("x-api-key", key),),
            timeout=PATIENCE_SECONDS,
        )

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
