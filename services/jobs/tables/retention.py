"""How long what is kept, and what is gone."""

from sqlalchemy import Column, Date, Index, Integer, Table, Text, text

from services.jobs.tables.base import Moment, metadata

kept_days = Table(
    "kept_days",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("media_days", Integer),
    Column("content_days", Integer),
)
"""For how long operators chose to keep things of single accounts. Null: as long as those of all."""

deletions = Table(
    "deletions",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("created_on", Date, nullable=False),
    Column("due_at", Moment, nullable=False, server_default=text("now()")),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Index("deletions_due", "account_id", "due_at"),
)
"""Jobs whose owners deleted them and whose files may still be there. A row goes when the files have gone.

It knows all that its work needs, so it outlives its job.
"""

forgotten_jobs = Table(
    "forgotten_jobs",
    metadata,
    Column("low", Text, primary_key=True),
    Column("high", Text, nullable=False),
    Column("made_before", Moment, nullable=False),
    Column("forgotten_at", Moment, nullable=False, server_default=text("clock_timestamp()")),
)
"""Ranges of ids whose jobs ended, were settled and are forgotten: from `low` on, up to `high`. Never changed."""
