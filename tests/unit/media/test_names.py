import re
from dataclasses import astuple
from datetime import date

import pytest

from services.media.names import (
    MediaNames,
    job_of_staged,
    media_names,
    public_name,
    staged_names,
)


def test_names_come_from_the_job_and_its_day() -> None:
    names = media_names("vid_01jz8b7q4x8k2p9w3m5c6n7r8s", created_on=date(2026, 6, 9))

    assert names == MediaNames(
        video="videos/2026/06/09/vid_01jz8b7q4x8k2p9w3m5c6n7r8s.mp4",
        poster="video-posters/2026/06/09/vid_01jz8b7q4x8k2p9w3m5c6n7r8s.jpg",
        last_frame="video-posters/2026/06/09/vid_01jz8b7q4x8k2p9w3m5c6n7r8s-last.jpg",
    )


@pytest.mark.parametrize("job_id", ["", "../etc", "vid_a/b", "VID", "vid.mp4", "vid_" + "a" * 80])
def test_job_id_that_is_unsafe_in_a_path_is_a_bug(job_id: str) -> None:
    with pytest.raises(AssertionError):
        media_names(job_id, created_on=date(2026, 6, 9))


def test_staged_names_cannot_be_computed_without_the_secret_and_tell_nothing_of_it() -> None:
    here, there = (staged_names("vid_1", secret=secret) for secret in ("token-1", "token-2"))

    assert not set(astuple(here)) & set(astuple(there))
    assert not any("token" in name for name in astuple(here))
    assert all(re.search(r"\.[0-9a-f]{32}[.-]", name) for name in astuple(here))


def test_staged_names_lead_back_to_their_job_and_to_its_public_names() -> None:
    public = media_names("vid_1", created_on=date(2026, 6, 9))
    staged = staged_names("vid_1", secret="token")

    assert [job_of_staged(name) for name in astuple(staged)] == ["vid_1"] * 3
    assert [public_name(name, names=public) for name in astuple(staged)] == list(astuple(public))


@pytest.mark.parametrize("name", ["", ".staged/", ".staged/..", ".staged/VID.x.mp4", "videos/a.mp4"])
def test_a_name_of_another_kind_belongs_to_no_job(name: str) -> None:
    assert job_of_staged(name) is None
