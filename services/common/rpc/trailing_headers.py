"""Headers that a service sends behind its answer, and that the edge puts into the head of it.

Sent before the answer, as initial metadata, they cost a batch, an event and a wake-up of their own in each call. So a
call that comes through an edge which copies them gets them as trailing metadata, and every other call as initial metadata.
"""

from typing import Final

COPIES: Final = "x-edge-copies-trailers"
"""With this header the edge says that it copies. Events are streamed without: nobody waits for the end of a stream."""
COPIED: Final = frozenset(
    {"idempotent-replayed", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
)
"""What it copies, and nothing else."""
VALUE_LENGTH_MAX: Final = 16
"""Longer values are not copied."""
