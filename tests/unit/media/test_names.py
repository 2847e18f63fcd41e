from datetime import date

import pytest

from services.media.names import MediaNames, media_names


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
