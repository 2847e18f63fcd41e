"""Addresses of media that are valid for a time, through the edge."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from services.media.signed_addresses import AddressSigner
from tests.e2e.edge.client import Answer, assert_refused, send
from tests.e2e.edge.media import SIGNER, serving_media
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import RunningEdge, running_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILM = bytes(range(256)) * 40
NAME = "videos/2026/01/02/vid_1.mp4"
OTHER = "videos/2026/01/02/vid_2.mp4"
NOW = 1_800_000_000
UNTIL = NOW + 60
EXPIRED = "The address has expired. Poll the task for a new one."
FORGED = "The address is not signed, or was changed. Use the whole address that the task shows."


def signed_query(name: str, *, signer: AddressSigner = SIGNER) -> str:
    return signer.sign("GET", name, expires_at=UNTIL).partition("?")[2]


@dataclass
class Place:
    edge: RunningEdge
    now: float = NOW

    async def get(self, query: str, *, name: str = NAME, method: str = "GET", **headers: str) -> Answer:
        fields = [f"{field}: {value}" for field, value in headers.items()]
        return await send(self.edge, method, f"/media/{name}?{query}", headers=fields)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(services: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder: Path = tmp_path_factory.mktemp("signed")
    for name in (NAME, OTHER, "video-posters/2026/01/02/vid_1.jpg", "references/cat.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(FILM)
    made: list[Place] = []
    async with (
        serving_media(folder, signer=SIGNER, clock=lambda: made[0].now) as target,
        running_edge(
            jobs_targets=services.target, billing_targets=services.target, media_targets=(target,)
        ) as edge,
    ):
        made.append(Place(edge))
        yield made[0]


async def test_a_signed_file_is_served_whole_and_in_ranges_for_as_long_as_it_is_valid(place: Place) -> None:
    query = signed_query(NAME)

    whole = await place.get(query)
    part = await place.get(query, range="bytes=100-199")
    head = await place.get(query, method="HEAD")

    assert (whole.status, whole.body) == (200, FILM)
    assert (part.status, part.body) == (206, FILM[100:200])
    assert (head.status, head.headers["content-length"]) == (200, str(len(FILM)))
    assert whole.headers["cache-control"] == part.headers["cache-control"] == "private, max-age=60"


@pytest.mark.parametrize("ahead", [59.9, 60.1, 600.0])
async def test_it_expires_at_its_moment(place: Place, ahead: float) -> None:
    query = signed_query(NAME)
    place.now = NOW + ahead
    try:
        answer = await place.get(query)
    finally:
        place.now = NOW

    if ahead < 60:
        assert answer.status == 200
    else:
        assert_refused(answer, 403, EXPIRED, code="invalid_request")
        assert "cache-control" not in answer.headers


@pytest.mark.parametrize(
    "query",
    [
        "",
        "expires=",
        f"expires={UNTIL}",
        f"expires={UNTIL}&signature=",
        f"expires={UNTIL}&signature=%C3%A9",
        signed_query(NAME).replace(str(UNTIL), str(UNTIL + 1)),
        signed_query(NAME)[:-1],
        signed_query(NAME, signer=AddressSigner(secret="of another host")),
        signed_query(OTHER),
    ],
)
async def test_an_address_that_was_changed_is_refused(place: Place, query: str) -> None:
    assert_refused(await place.get(query), 403, FORGED, code="invalid_request")


async def test_posters_are_signed_too_and_a_missing_file_is_told_to_nobody(place: Place) -> None:
    for name in ("video-posters/2026/01/02/vid_1.jpg", "videos/2026/01/02/vid_9.mp4"):
        assert (await place.get("", name=name)).status == 403
    missing = "videos/2026/01/02/vid_9.mp4"
    query = signed_query(missing)
    assert (await place.get(query, name=missing)).status == 404


async def test_files_that_are_no_results_need_no_signature(place: Place) -> None:
    answer = await place.get("", name="references/cat.png")

    assert (answer.status, answer.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
