"""What a first video must be."""

from pathlib import Path

import av


def described(path: Path) -> str:
    """Decodes the whole of a video. Returns what it is, such as `h264 1280x720, 5.0 s, 120 frames`."""
    with av.open(str(path), format="mov") as container:
        stream = container.streams.video[0]
        frames = sum(1 for _ in container.decode(stream))
        seconds = float((stream.duration or 0) * (stream.time_base or 0))
        assert frames > 0, f"{path} shows nothing"
        return f"{stream.codec_context.name} {stream.width}x{stream.height}, {seconds:.1f} s, {frames} frames"
