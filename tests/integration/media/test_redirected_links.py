"""Links that lead on to other hosts: where they are followed to, and what goes along."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import aiohttp
import pytest

from services.common.egress.policy import UrlPolicy
from services.common.egress.session import open_egress_session
from services.common.egress.urls import has_same_origin, origin_of
from services.media.errors import (
    MediaError,
    MediaGoneError,
    MediaRejectedError,
    MediaUnavailableError,
)
from services.media.fetch import REDIRECTS_MAX, fetched
from services.media.limits import MediaLimits
from tests.fakes.ark_server import ArkServer
from tests.fakes.provider_server import Fault, Reply
from tests.patience import PATIENCE_SECONDS

SECRET = "provider-secret"
BODY = b"\0\0\0\x18ftypmp42"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A provider whose API serves results to those who know its secret, and a file host of somebody else."""

    provider: ArkServer
    foreign: ArkServer
    session: aiohttp.ClientSession
    limits: MediaLimits

    def headers_for(self, url: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {SECRET}"} if has_same_origin(url, self.provider.base_url) else {}

    @property
    def link(self) -> str:
        return f"{self.provider.base_url}/videos/video_1/content"

    async def fetch(self, url: str | None = None) -> bytes:
        async with fetched(
            url or self.link, session=self.session, limits=self.limits, headers_for=self.headers_for
        ) as path:
            return path.read_bytes()

    async def refusal(self, url: str | None = None) -> MediaError:
        with pytest.raises(MediaError) as caught:
            await self.fetch(url)
        return caught.value

    def secrets_at(self, host: ArkServer) -> list[bool]:
        """Returns, for each request that a host got, whether the secret was anywhere in it."""
        return [SECRET in f"{seen.target} {seen.headers} {seen.body!r}" for seen in host.seen]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(ArkServer())
        foreign = await stack.enter_async_context(ArkServer())
        policy = UrlPolicy(origins_trusted=frozenset(map(origin_of, (provider.origin, foreign.origin))))
        session = await stack.enter_async_context(open_egress_session(policy, connections_max=4))
        limits = replace(MediaLimits(), fetch_timeout_seconds=PATIENCE_SECONDS)
        yield Place(provider=provider, foreign=foreign, session=session, limits=limits)


def to(location: str, *, status: int = 302) -> Reply:
    return Reply(status=status, headers={"Location": location})


async def test_a_result_behind_the_credential_is_fetched_with_it(place: Place) -> None:
    place.provider.will(Reply(body=BODY))

    assert await place.fetch() == BODY
    assert place.secrets_at(place.provider) == [True]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_the_credential_stays_behind_when_a_redirect_leaves_the_origin(
    place: Place, status: int
) -> None:
    target = "/bucket/clip%2F1.mp4?Signature=a%2Fb&empty="
    place.provider.will(to(place.foreign.origin + target, status=status))
    place.foreign.will(Reply(body=BODY))

    assert await place.fetch() == BODY
    assert place.secrets_at(place.foreign) == [False]
    assert place.foreign.seen[0].target == target


@pytest.mark.parametrize("location", ["/api/v3/files/1", "../../files/1", "?variant=video"])
async def test_the_credential_goes_along_within_the_origin(place: Place, location: str) -> None:
    place.provider.will(to(location), Reply(body=BODY))

    assert await place.fetch() == BODY
    assert place.secrets_at(place.provider) == [True, True]


async def test_a_foreign_host_cannot_send_the_credential_where_it_likes(place: Place) -> None:
    place.provider.will(to(f"{place.foreign.origin}/a"), Reply(body=BODY))
    place.foreign.will(to(f"{place.provider.base_url}/account?delete=1"))

    assert await place.fetch() == BODY
    assert place.secrets_at(place.provider) == [True, False]
    assert place.secrets_at(place.foreign) == [False]


async def test_a_link_of_a_foreign_host_never_gets_the_credential(place: Place) -> None:
    place.foreign.will(to("/again"), to(place.link), Reply(body=BODY))
    place.provider.will(to(f"{place.foreign.origin}/c"))

    await place.fetch(f"{place.foreign.origin}/clip.mp4")

    assert place.secrets_at(place.foreign) == [False] * 3
    assert place.secrets_at(place.provider) == [False]


async def test_endless_redirects_are_given_up(place: Place) -> None:
    place.provider.will(*[to(place.link)] * (REDIRECTS_MAX + 1))

    assert isinstance(await place.refusal(), MediaRejectedError)
    assert len(place.provider.seen) == REDIRECTS_MAX + 1


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:1/clip.mp4",
        "http://169.254.169.254/latest/meta-data/",
        "//[::1]/clip.mp4",
        "file:///etc/passwd",
        "ftp://files.example/clip.mp4",
        "http://user:password@files.example/clip.mp4",
        "http://files.example:22/clip.mp4",
        "http://files.example/cl\u00efp.mp4",
        "http://",
        "javascript:alert(1)",
    ],
)
async def test_a_redirect_is_checked_as_a_link_is(place: Place, location: str) -> None:
    place.provider.will(to(location))

    refusal = await place.refusal()

    assert isinstance(refusal, MediaRejectedError)
    assert location not in refusal.detail
    assert len(place.provider.seen) == 1
    assert place.foreign.seen == []


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=403, body=b"<Error>Request has expired</Error>"), MediaGoneError),
        (Reply(body=BODY * 1000, fault=Fault.TRUNCATE), MediaUnavailableError),
        (Reply(status=503), MediaUnavailableError),
        (Reply(status=304), MediaRejectedError),
    ],
)
async def test_what_comes_after_a_redirect_ends_the_fetch_as_it_would_without_one(
    place: Place, reply: Reply, error: type[MediaError]
) -> None:
    place.provider.will(to(f"{place.foreign.origin}/clip.mp4"))
    place.foreign.will(reply)

    assert type(await place.refusal()) is error


async def test_all_hosts_together_get_the_time_of_one(place: Place) -> None:
    hurried = replace(place, limits=replace(place.limits, fetch_timeout_seconds=0.3))
    hurried.provider.will(to(f"{place.foreign.origin}/clip.mp4"))
    hurried.foreign.will(Reply(fault=Fault.STALL))

    assert isinstance(await hurried.refusal(), MediaUnavailableError)
