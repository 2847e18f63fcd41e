"""What is particular to ModelArk: its error table, its paths, its listing."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import aiohttp
import pytest

from services.upstream.call import BODY_BYTES_MAX
from services.upstream.provider import (
    BrokenCause,
    BrokenError,
    BusyError,
    Order,
    RefusalKind,
    Refused,
    RefusedError,
    UnknownError,
    UnreachableError,
    UpstreamError,
)
from services.upstream.providers.ark.adapter import (
    CREATED_MARGIN_SECONDS,
    LIST_PAGE_SIZE,
    LIST_PAGES_MAX,
    ArkProvider,
)
from tests.fakes.ark_server import ArkServer
from tests.fakes.provider_server import Fault, Reply
from tests.patience import PATIENCE_SECONDS

NOW = 1_772_352_000
ORDER = Order(
    model="dreamina-seedance-2-0-mini-260615",
    prompt="a boat in a storm",
    duration_seconds=4,
    resolution="480p",
    aspect_ratio="16:9",
    generate_audio=False,
    watermark=False,
    return_last_frame=False,
    seed=7,
)

CONTENT_CODES = [
    "SensitiveContentDetected",
    "SensitiveContentDetected.SevereViolation",
    "InputTextSensitiveContentDetected",
    "InputImageSensitiveContentDetected.PrivacyInformation",
    "InputVideoSensitiveContentDetected.PolicyViolation",
    "InputAudioSensitiveContentDetected",
    "OutputImageSensitiveContentDetected.DeepFake",
    "OutputVideoSensitiveContentDetected",
    "InputTextRiskDetection",
    "InputImageRiskDetection",
    "OutputVideoRiskDetection",
    "ContentSecurityDetectionError",
]
REFUSALS = [
    *((400, code, RefusalKind.CONTENT) for code in CONTENT_CODES),
    (400, "MissingParameter.content", RefusalKind.PARAMETERS),
    (400, "InvalidParameter", RefusalKind.PARAMETERS),
    (400, "InvalidParameter.UnsupportedParameter", RefusalKind.PARAMETERS),
    (400, "InvalidParameter.TaskTypeConstraint", RefusalKind.PARAMETERS),
    (400, "InvalidImageURL.EmptyURL", RefusalKind.INPUT_MEDIA),
    (400, "InvalidImageURL.InvalidFormat", RefusalKind.INPUT_MEDIA),
    (404, "NotFound.Asset", RefusalKind.PARAMETERS),
    (422, "SomethingNew", RefusalKind.PARAMETERS),
]
OUR_FAULTS = [
    (400, "InvalidEndpoint.ClosedEndpoint", BrokenCause.MODEL),
    (401, "AuthenticationError", BrokenCause.CREDENTIAL),
    (401, "InvalidAccountStatus", BrokenCause.CREDENTIAL),
    (401, "", BrokenCause.CREDENTIAL),
    (402, "", BrokenCause.QUOTA),
    (403, "AccountOverdueError", BrokenCause.QUOTA),
    (403, "OperationDenied.ServiceOverdue", BrokenCause.QUOTA),
    (403, "AccessDenied", BrokenCause.CREDENTIAL),
    (403, "", BrokenCause.CREDENTIAL),
    (403, "OperationDenied.ServiceNotOpen", BrokenCause.MODEL),
    (403, "OperationDenied.PermissionDenied", BrokenCause.CREDENTIAL),
    (403, "OperationDenied.InvalidState", BrokenCause.MODEL),
    (404, "InvalidEndpointOrModel.NotFound", BrokenCause.MODEL),
    (404, "InvalidEndpointOrModel.ModelIDAccessDisabled", BrokenCause.MODEL),
    (404, "ModelNotOpen", BrokenCause.MODEL),
    (404, "", BrokenCause.MODEL),
    (429, "AccountQuotaExceeded", BrokenCause.QUOTA),
    (429, "SetLimitExceeded", BrokenCause.QUOTA),
    (307, "", BrokenCause.MODEL),
    (400, "", BrokenCause.MODEL),
]
BUSY_CODES = [
    "RateLimitExceeded.EndpointRPMExceeded",
    "RateLimitExceeded.EndpointTPMExceeded",
    "ModelAccountRpmRateLimitExceeded",
    "ModelAccountTpmRateLimitExceeded",
    "ModelAccountIpmRateLimitExceeded",
    "APIAccountRpmRateLimitExceeded",
    "AccountRateLimitExceeded",
    "RequestBurstTooFast",
    "InflightBatchsizeExceeded",
    "ServerOverloaded",
    "",
]


@dataclass
class FakeTime:
    """Seconds that pass only by waiting."""

    now: float = 0.0
    waits: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        wake = self.now + seconds
        await asyncio.sleep(0)  # lets others go to sleep at the same moment
        self.now = max(self.now, wake)


@dataclass(frozen=True, kw_only=True)
class Ark:
    server: ArkServer
    provider: ArkProvider
    time: FakeTime

    async def submit(self, *, timeout_seconds: float = 5) -> str:
        return await self.provider.submit(
            ORDER, correlation_id="att_1", callback_url=None, timeout_seconds=timeout_seconds
        )

    async def find(self, *, created_after: float = NOW, timeout_seconds: float = 5) -> str | None:
        return await self.provider.find(
            "att_1", model=ORDER.model, created_after=created_after, timeout_seconds=timeout_seconds
        )


@pytest.fixture
async def ark() -> AsyncIterator[Ark]:
    time = FakeTime()
    async with ArkServer() as server, aiohttp.ClientSession() as session:
        provider = ArkProvider(
            session=session,
            base_url=server.base_url + "/",
            api_key="secret",
            clock=time.clock,
            sleep=time.sleep,
        )
        yield Ark(server=server, provider=provider, time=time)


def failure(status: int, code: str, **headers: str) -> Reply:
    body = {"error": {"code": code, "message": "words", "type": "Some"}} if code else b"<html>"
    return Reply(status=status, body=body, headers=headers)


def listed(number: int, *, owner: str = "att_other", created_at: int = NOW) -> dict[str, object]:
    return {"id": f"cgt-{number}", "created_at": created_at, "safety_identifier": owner, "status": "queued"}


def page(tasks: list[dict[str, object]], *, total: int | None = None) -> Reply:
    return Reply(body={"items": tasks} | ({} if total is None else {"total": total}))


async def test_submission_is_an_authorised_post_of_the_order(ark: Ark) -> None:
    ark.server.will(Reply(body={"id": "cgt-1"}))

    await ark.submit()

    (seen,) = ark.server.seen
    assert (seen.method, seen.path) == ("POST", "/api/v3/contents/generations/tasks")
    assert seen.headers["authorization"] == "Bearer secret"
    assert seen.headers["content-type"] == "application/json"
    assert json.loads(seen.body)["safety_identifier"] == "att_1"


@pytest.mark.parametrize(
    ("options", "members"),
    [
        ({}, {}),
        ({"service_tier": "flex"}, {"service_tier": "flex"}),
        ({"draft": "true"}, {"draft": True}),
        ({"draft": "false"}, {"draft": False}),
        ({"seed": "true"}, {"seed": 7}),
    ],
)
async def test_what_a_route_asks_besides_is_sent_and_nothing_else(
    ark: Ark, options: dict[str, str], members: dict[str, object]
) -> None:
    ark.server.will(Reply(body={"id": "cgt-1"}))
    order = replace(ORDER, options=options)

    await ark.provider.submit(order, correlation_id="att_1", callback_url=None, timeout_seconds=5)

    body = json.loads(ark.server.seen[0].body)
    asked = {name: body[name] for name in ("service_tier", "draft", "seed") if name in body}
    assert asked == members


@pytest.mark.parametrize(("status", "code", "kind"), REFUSALS)
async def test_refusals_follow_the_code(ark: Ark, status: int, code: str, kind: RefusalKind) -> None:
    ark.server.will(failure(status, code))

    with pytest.raises(RefusedError) as caught:
        await ark.submit()

    assert caught.value.refused.kind is kind
    assert "words" not in caught.value.detail


@pytest.mark.parametrize(("status", "code", "cause"), OUR_FAULTS)
async def test_our_own_faults_ask_for_an_operator(
    ark: Ark, status: int, code: str, cause: BrokenCause
) -> None:
    ark.server.will(failure(status, code), failure(status, code))

    with pytest.raises(BrokenError) as submitting:
        await ark.submit()
    with pytest.raises(BrokenError) as checking:
        await ark.provider.check("cgt-1", timeout_seconds=PATIENCE_SECONDS)
    assert submitting.value.cause is checking.value.cause is cause


@pytest.mark.parametrize("code", BUSY_CODES)
async def test_rate_limits_ask_to_come_back(ark: Ark, code: str) -> None:
    ark.server.will(failure(429, code))

    with pytest.raises(BusyError) as caught:
        await ark.submit()

    assert caught.value.retry_after_seconds is None


@pytest.mark.parametrize(
    ("code", "header", "seconds"),
    [
        ("ServerOverloaded", "7", 7),
        ("ServerOverloaded", "86400", 300),
        ("ServerOverloaded", "9" * 5000, 300),
        ("ServerOverloaded", "-1", None),
        ("ServerOverloaded", "Fri, 31 Dec 1999 23:59:59 GMT", None),
        ("QuotaExceeded", "7", 60),
        ("QuotaExceeded", "120", 120),
    ],
)
async def test_retry_after_is_honoured_within_bounds(
    ark: Ark, code: str, header: str, seconds: float | None
) -> None:
    ark.server.will(failure(429, code, **{"Retry-After": header}))

    with pytest.raises(BusyError) as caught:
        await ark.submit()

    assert caught.value.retry_after_seconds == seconds


@pytest.mark.parametrize(
    "reply",
    [
        *(failure(status, "InternalServiceError") for status in (408, 500, 502, 503, 504)),
        failure(502, ""),
        Reply(body={}),
        Reply(body={"id": "../escape"}),
        Reply(body=b'{"id": "cgt-1"}', fault=Fault.TRUNCATE),
        Reply(status=400, body=b'{"error": {"code": "InvalidParameter"}}', fault=Fault.TRUNCATE),
        Reply(body=b'{"id": "cgt-1"}' + b" " * BODY_BYTES_MAX),
        Reply(status=204),
    ],
)
async def test_doubt_about_a_submission_is_never_taken_for_a_no(ark: Ark, reply: Reply) -> None:
    ark.server.will(reply)

    with pytest.raises(UnknownError):
        await ark.submit()

    assert len(ark.server.seen) == 1


async def test_submission_that_never_got_a_connection_surely_had_no_effect() -> None:
    connector = aiohttp.TCPConnector(limit=1)
    async with ArkServer() as server, aiohttp.ClientSession(connector=connector) as session:
        server.will(Reply(fault=Fault.STALL))
        provider = ArkProvider(session=session, base_url=server.base_url, api_key="secret")

        outcomes = await asyncio.gather(
            provider.submit(ORDER, correlation_id="att_1", callback_url=None, timeout_seconds=1),
            provider.submit(ORDER, correlation_id="att_2", callback_url=None, timeout_seconds=0.5),
            return_exceptions=True,
        )

    assert [type(outcome) for outcome in outcomes] == [UnknownError, UnreachableError]
    assert len(server.seen) == 1


async def test_redirect_does_not_carry_the_credential_away(ark: Ark) -> None:
    async with ArkServer() as elsewhere:
        ark.server.will(Reply(status=307, headers={"Location": elsewhere.base_url}))

        with pytest.raises(BrokenError):
            await ark.submit()

        assert elsewhere.seen == []


async def test_only_a_documented_404_means_the_task_is_gone(ark: Ark) -> None:
    ark.server.will(failure(404, "NotFound.Task"), failure(404, "ResourceNotFound"), failure(404, ""))

    first = await ark.provider.check("cgt-1", timeout_seconds=PATIENCE_SECONDS)
    second = await ark.provider.check("cgt-1", timeout_seconds=PATIENCE_SECONDS)
    with pytest.raises(BrokenError):
        await ark.provider.check("cgt-1", timeout_seconds=PATIENCE_SECONDS)

    assert isinstance(first, Refused)
    assert isinstance(second, Refused)
    assert first.kind is second.kind is RefusalKind.EXPIRED


async def test_find_asks_for_the_model_and_an_explicit_page(ark: Ark) -> None:
    ark.server.will(page([listed(1, owner="att_1")]))

    assert await ark.find() == "cgt-1"

    (seen,) = ark.server.seen
    assert seen.query == {
        "page_num": "1",
        "page_size": str(LIST_PAGE_SIZE),
        "filter.model": ORDER.model,
    }


async def test_find_reads_on_until_the_task_appears_once_a_second(ark: Ark) -> None:
    ark.server.will(page([listed(1), listed(2)]), page([listed(3)]), page([listed(4, owner="att_1")]))

    assert await ark.find() == "cgt-4"

    assert [seen.query["page_num"] for seen in ark.server.seen] == ["1", "2", "3"]
    assert ark.time.waits == [1.0, 1.0]


async def test_parallel_searches_share_one_listing_a_second(ark: Ark) -> None:
    ark.server.will(*(page([], total=0) for _ in range(3)))

    found = await asyncio.gather(ark.find(), ark.find(), ark.find())

    assert list(found) == [None, None, None]
    assert ark.time.now == 2.0


@pytest.mark.parametrize(
    "script",
    [
        [page([])],
        [page([listed(1), listed(2)], total=2)],
        [page([listed(1)]), page([])],
        [page([listed(1), listed(2, created_at=NOW - 9999)], total=5000)],
    ],
    ids=["empty", "total reached", "no total", "older than the order"],
)
async def test_find_says_none_once_every_candidate_was_seen(ark: Ark, script: list[Reply]) -> None:
    ark.server.will(*script)

    assert await ark.find() is None

    assert len(ark.server.seen) == len(script)


async def test_find_trusts_no_order_it_has_not_seen(ark: Ark) -> None:
    oldest_first = [listed(1, created_at=NOW - 9999), listed(2, created_at=NOW - 9000)]
    ark.server.will(page(oldest_first, total=3), page([listed(3, owner="att_1")]))

    assert await ark.find() == "cgt-3"


async def test_find_takes_equal_times_for_no_order(ark: Ark) -> None:
    same_second = [listed(1, created_at=NOW - 9999), listed(2, created_at=NOW - 9999)]
    ark.server.will(page(same_second, total=3), page([listed(3, owner="att_1")]))

    assert await ark.find() == "cgt-3"


async def test_find_ignores_a_namesake_from_long_before(ark: Ark) -> None:
    old = listed(1, owner="att_1", created_at=int(NOW - CREATED_MARGIN_SECONDS - 1))
    ark.server.will(page([old], total=1))

    assert await ark.find() is None


async def test_find_never_says_none_when_it_gave_up(ark: Ark) -> None:
    ark.server.will(*(page([listed(number)], total=5000) for number in range(LIST_PAGES_MAX)))

    with pytest.raises(UnreachableError):
        await ark.find()

    assert len(ark.server.seen) == LIST_PAGES_MAX


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (failure(404, "NotFound.Path"), BrokenError),
        (Reply(body={"items": [{"id": "cgt-1"}]}), UnreachableError),
        (Reply(body=b'{"items": []}' + b" " * BODY_BYTES_MAX), UnreachableError),
    ],
)
async def test_find_without_a_usable_listing_says_so(
    ark: Ark, reply: Reply, error: type[UpstreamError]
) -> None:
    ark.server.will(reply)

    with pytest.raises(error):
        await ark.find()
