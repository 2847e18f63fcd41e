"""Limits of what one result may cost."""

from dataclasses import dataclass, replace
from typing import Final

MIB = 1024 * 1024
SHARES: Final = 6


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

    def shared(self) -> "MediaLimits":
        """Returns what one file may take of a fork that looks at several.

        It has as much time by the clock as on the processor, so that whoever breaks out of the one has no more of the other.
        """
        seconds = max(1, self.probe_cpu_seconds_max // SHARES)
        return replace(
            self,
            probe_cpu_seconds_max=seconds,
            probe_timeout_seconds=min(float(seconds), self.probe_timeout_seconds),
        )

    def left_by_shared(self) -> "MediaLimits":
        """Returns what a file may take of a fork of its own after it has had the share: the rest."""
        shared = self.shared()
        return replace(
            self,
            probe_cpu_seconds_max=max(1, self.probe_cpu_seconds_max - shared.probe_cpu_seconds_max),
            probe_timeout_seconds=max(1.0, self.probe_timeout_seconds - shared.probe_timeout_seconds),
        )
