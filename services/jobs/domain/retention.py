"""For how long things of one account are kept."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class OwnDays:
    """Days after a job's end; 0 is forever, None as for all accounts."""

    media_days: int | None = None
    content_days: int | None = None
