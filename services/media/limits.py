"""Limits of what one result may cost."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class MediaLimits:
    """The most that one result may cost. The defaults allow every result that our models can make."""

    byte_count_max: int = 512 * MIB
    connect_timeout_seconds: float = 10.0
    fetch_timeout_seconds: float = 300.0
    store_timeout_seconds: float = 300.0
    pixel_count_max: int = 4096 * 2304
    duration_seconds_max: float = 60.0
    sample_count_max: int = 100_000
    """Over all streams of one file: a minute of 120 frames and 94 audio packets a second is an eighth of this."""
    decode_timeout_seconds: float = 60.0
    probe_timeout_seconds: float = 120.0
    """Wall-clock time for everything done with one file: longer than its CPU time, so that a busy host does not matter."""
    probe_cpu_seconds_max: int = 60
    probe_memory_max: int = 1024 * MIB
    """Bytes of address space. The largest frames with the most references that H.264 allows take half of it."""
