"""Does before the first file what that file would otherwise wait for: lazy imports, tables, pages of libraries."""

import io
import os

import av
from av.video.stream import VideoStream

from services.media.limits import MediaLimits
from services.media.probe import probe


def warm_up() -> None:
    """Makes the smallest possible video and probes it, so that forks of this process start with everything loaded."""
    clip = _smallest_clip()
    file = os.memfd_create("clip")
    try:
        os.write(file, clip)
        os.lseek(file, 0, os.SEEK_SET)
        probe(file, want_last_frame=True, limits=MediaLimits())
    finally:
        os.close(file)


def _smallest_clip() -> bytes:
    written = io.BytesIO()
    with av.open(written, "w", format="mp4") as output:
        video = output.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = 16, 16, "yuv420p"
        output.mux(video.encode(av.VideoFrame(16, 16, "yuv420p")))
        output.mux(video.encode(None))
    return written.getvalue()
