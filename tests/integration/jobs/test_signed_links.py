"""Where addresses of media are signed, every answer that shows one has a signed one, valid from then on."""

import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from reelgate.video.v1.video_service_pb2 import WatchVideoRequest

from services.common.audit.note import AuditNote
from services.common.clock import utc_now
from services.common.postgres.database import Pool
from services.jobs.convert.events import render_event
from services.jobs.operations.hand_over_events import Teller
from services.jobs.store.endings import SqlEndings
from services.jobs.store.outbox import SqlOutbox
from services.jobs.store.retention import SqlRetention
from services.jobs.wiring.links import links_of
from services.media.signed_addresses import AddressSigner, BadAddress, BadAddressError
from tests.conftest import KEY_SECRET
from tests.integration.jobs.api import running_api
from tests.integration.jobs.conftest import a_job, jobs_settings
from tests.integration.jobs.world import World, open_world

SECONDS = 3_600
SIGNER = AddressSigner(secret=KEY_SECRET)
LINKS = links_of(jobs_settings(media_url_seconds=SECONDS, media_url_secret=KEY_SECRET))
URL = re.compile(r'https?://[^"\s]+')


def assert_signed(shown: Any) -> None:
    """Both addresses of the job are signed, and valid for as long as was promised."""
    urls = [url for url in URL.findall(json.dumps(shown)) if "/video" in url]
    assert len(urls) == 2
    for url in urls:
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        name, now = parts.path.removeprefix("/"), utc_now().timestamp()
        for later in (0, SECONDS - 60):
            SIGNER.check("GET", name, query, now=now + later)
        with pytest.raises(BadAddressError, match=BadAddress.EXPIRED):
            SIGNER.check("GET", name, query, now=now + SECONDS + 2)
        assert a_job().id in name


async def completed(pool: Pool) -> World:
    world = await open_world(pool, a_job())
    world.links = LINKS
    await world.submitted()
    stored = await world.check(await world.claim())
    assert stored is not None
    await world.complete(stored)
    return world


async def test_polls_lists_streams_and_events_show_signed_addresses(jobs_pool: Pool) -> None:
    await completed(jobs_pool)
    async with running_api(jobs_pool, links=LINKS) as api:
        key = api.add_key()
        asked = {"id": a_job().id}
        assert_signed(await api.call("Video.GetVideo", asked, key=key))
        assert_signed(await api.call("Video.ListVideos", {}, key=key))
        metadata = (("authorization", f"Bearer {key}"),)
        watch = api.stubs["Video"].WatchVideo
        parts = [part.data.decode() async for part in watch(WatchVideoRequest(**asked), metadata=metadata)]
        end = next(event for event in "".join(parts).split("\n\n") if "event: end" in event)
        assert_signed(json.loads(end.partition("data: ")[2]))
    [event] = await SqlOutbox(jobs_pool).oldest(limit=10)
    assert_signed(json.loads(event.body))


async def test_an_end_that_is_told_again_has_new_addresses(jobs_pool: Pool) -> None:
    world = await completed(jobs_pool)
    await world.sql("DELETE FROM outbox")
    teller = Teller(
        retention=SqlRetention(jobs_pool),
        endings=SqlEndings(jobs_pool),
        render_event=render_event,
        links=LINKS,
    )

    since = utc_now() - timedelta(hours=1)
    assert (await teller.hand_over(since, "", note=AuditNote(actor="a", reason="b"))).events_count == 1

    [event] = await SqlOutbox(jobs_pool).oldest(limit=10)
    assert_signed(json.loads(event.body))


async def test_what_is_stored_is_never_signed(jobs_pool: Pool) -> None:
    world = await completed(jobs_pool)

    [row] = await world.sql("SELECT video_url, thumbnail_url FROM jobs")
    assert not any("?" in url for url in row.values())
