"""What may be sent as bodies, by one address and by all together, before the edge turns them into anything."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from services.edge.extension import Config
from tests.e2e.edge.client import Answer, assert_refused, assert_refused_by_nextapi, send
from tests.e2e.edge.upstream import Upstream, serving_upstream
from tests.e2e.edge_process import RunningEdge, running_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

VIDEOS = "/v1/videos/generations"
JOBS = "/v1/video/generations"
CALLBACK = "/callbacks/token"
TOO_MUCH = "Too many or too large requests. Slow down."
KIB = 1024
CHUNKED = "transfer-encoding: chunked"
MODEL = '{"model":"mini","input":{"prompt":"waves"}'


def without_refills(config: Config) -> None:
    """Lets buckets fill within a day, so that no test depends on how fast it runs."""
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][-1]["typed_config"]
    for each in manager["http_filters"]:
        for descriptor in each["typed_config"].get("descriptors", ()):
            descriptor["token_bucket"]["fill_interval"] = "86400s"


def body_of(kib: int) -> str:
    return f"{MODEL}{' ' * (kib * KIB - len(MODEL) - 1)}}}"


class Senders:
    """Addresses that have not sent anything yet, and what is sent from them."""

    def __init__(self, edge: RunningEdge) -> None:
        self.edge = edge
        self._count = 1

    def another(self) -> str:
        self._count += 1
        return f"127.0.0.{self._count}"

    async def post(self, sender: str, kib: int, path: str = VIDEOS) -> Answer:
        return await send(self.edge, "POST", path, body_of(kib), sender=sender)

    async def post_chunked(self, sender: str, kib: int) -> Answer:
        body = body_of(kib)
        parts = [body[at : at + 10_000] for at in range(0, len(body), 10_000)]
        chunks = "".join(f"{len(part):x}\r\n{part}\r\n" for part in parts)
        return await send(self.edge, "POST", VIDEOS, f"{chunks}0\r\n\r\n", [CHUNKED], sender=sender)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def upstream() -> AsyncIterator[Upstream]:
    async with serving_upstream() as served:
        yield served


@pytest_asyncio.fixture(loop_scope="session")
async def senders(upstream: Upstream, request: pytest.FixtureRequest) -> AsyncIterator[Senders]:
    """Of an edge where an address may send 512 KiB, and all may send one of 256 KiB, unless told otherwise."""
    settings: dict[str, Any] = {
        "body_kib_per_second_per_address": 512,
        "large_body_kib_per_second": 128,
        **getattr(request, "param", {}),
    }
    targets = {"jobs_targets": upstream.target, "billing_targets": upstream.target}
    async with running_edge(change=without_refills, **targets, **settings) as edge:
        yield Senders(edge)


by_address = pytest.mark.parametrize("senders", [{"large_body_kib_per_second": 0}], indirect=True)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_of_200_kib_alone_is_answered(senders: Senders, *, chunked: bool) -> None:
    post = senders.post_chunked if chunked else senders.post

    assert (await post(senders.another(), 200)).status == 200


@by_address
async def test_an_address_that_has_sent_its_bytes_is_refused(senders: Senders, upstream: Upstream) -> None:
    one, other = senders.another(), senders.another()
    for _ in range(2):
        assert (await senders.post(one, 250)).status == 200
    upstream.forget()

    refused = await senders.post(one, 250)

    assert_refused(refused, 429, TOO_MUCH, code="rate_limit_exceeded", kind="rate_limit_error")
    assert refused.headers["retry-after"] == "1"
    assert upstream.calls == []
    assert (await senders.post(one, 1)).status == 200
    assert (await senders.post(other, 250)).status == 200


@by_address
async def test_a_body_of_unknown_length_counts_as_much(senders: Senders, upstream: Upstream) -> None:
    one = senders.another()
    for _ in range(2):
        assert (await senders.post_chunked(one, 250)).status == 200
    upstream.forget()

    refused = await senders.post_chunked(one, 250)

    assert_refused(refused, 429, TOO_MUCH, code="rate_limit_exceeded", kind="rate_limit_error")
    assert upstream.calls == []
    assert (await senders.post_chunked(one, 1)).status == 200


@by_address
async def test_many_small_bodies_count_as_much_as_few_large_ones(senders: Senders) -> None:
    one = senders.another()

    statuses = [(await senders.post(one, 50)).status for _ in range(12)]

    assert statuses == [200] * 10 + [429] * 2


@by_address
@pytest.mark.parametrize("path", [JOBS, CALLBACK])
async def test_every_endpoint_counts(senders: Senders, path: str) -> None:
    one = senders.another()

    answers = [await senders.post(one, 250, path) for _ in range(3)]

    assert [answer.status == 429 for answer in answers] == [False, False, True]
    if path == JOBS:
        assert_refused_by_nextapi(answers[-1], 429, TOO_MUCH, code="rate_limit_exceeded")


@by_address
async def test_what_has_no_body_is_never_refused_for_it(senders: Senders, upstream: Upstream) -> None:
    one = senders.another()
    statuses = [(await senders.post(one, 250)).status for _ in range(3)]
    assert statuses[-1] == 429
    kib_left = 512 - 2 * 250
    for _ in range(kib_left):
        assert (await senders.post(one, 1)).status == 200

    cancellation = f"{VIDEOS}/vid_1/cancel"
    answers = [
        await send(senders.edge, "POST", cancellation, sender=one),
        await send(senders.edge, "POST", cancellation, headers=["content-length: 0"], sender=one),
        await send(senders.edge, "GET", f"{VIDEOS}/vid_1", sender=one),
        await senders.post(one, 1),
    ]

    assert [answer.status for answer in answers] == [200, 200, 200, 429]


async def test_large_bodies_of_many_addresses_are_bounded_together(
    senders: Senders, upstream: Upstream
) -> None:
    answers = [await senders.post(senders.another(), 100) for _ in range(4)]

    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    assert answers[-1].headers["retry-after"] == "2"
    assert (await senders.post(senders.another(), 64)).status == 200


async def test_an_address_that_is_refused_takes_nothing_from_others(senders: Senders) -> None:
    one = senders.another()
    for _ in range(8):
        assert (await senders.post(one, 60)).status == 200

    refused = [(await senders.post(one, 250)).status for _ in range(3)]

    assert refused == [429] * 3
    assert (await senders.post(senders.another(), 250)).status == 200


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_refused_as_such_and_counts_for_nothing(
    senders: Senders, *, chunked: bool
) -> None:
    one = senders.another()
    post = senders.post_chunked if chunked else senders.post

    refused = [(await post(one, 300)).status for _ in range(4)]

    assert refused == [413] * 4
    assert (await senders.post(one, 250)).status == 200
