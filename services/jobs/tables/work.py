"""Jobs, the work on them, and the places that are kept for them at providers."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    text,
)

from services.jobs.tables.base import Moment, metadata

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("contract", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("input", Text, nullable=False),
    Column("callback_url", Text),
    Column("metadata", Text),
    Column("key_id", Text, nullable=False, server_default=text("''")),
    Column("moderation_profile", Text, nullable=False, server_default=text("''")),
    Column("price_version", Text, nullable=False),
    Column("micros_per_second", BigInteger, nullable=False),
    Column("reserved_micros", BigInteger, nullable=False),
    Column("charged_micros", BigInteger, nullable=False, server_default=text("0")),
    Column("refunded_micros", BigInteger, nullable=False, server_default=text("0")),
    Column("returned_micros", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("video_url", Text),
    Column("thumbnail_url", Text),
    Column("last_frame_url", Text),
    Column("output_seconds", Double),
    Column("failure", Text),
    Column("reference_fields", Text),
    Column("unusable", Text),
    Column("content_deleted_at", Moment),
    Column("media_deleted_at", Moment),
    Column("traceparent", Text),
    Column("rendered_by", Text),
    Column("names_seed", Boolean),
    CheckConstraint("status IN ('pending', 'processing', 'completed', 'failed')", name="jobs_status"),
    CheckConstraint("reserved_micros > 0", name="jobs_reserved"),
    CheckConstraint("charged_micros BETWEEN 0 AND reserved_micros", name="jobs_charged"),
    CheckConstraint("refunded_micros BETWEEN 0 AND reserved_micros", name="jobs_refunded"),
    CheckConstraint("returned_micros BETWEEN 0 AND charged_micros", name="jobs_returned"),
    CheckConstraint(
        "CASE status WHEN 'completed' THEN charged_micros + refunded_micros = reserved_micros"
        " WHEN 'failed' THEN charged_micros = 0 AND refunded_micros = reserved_micros"
        " ELSE charged_micros = 0 AND refunded_micros = 0 END",
        name="jobs_settled",
    ),
    # In an order of their own, so that a page is never read off the primary key, past everybody else's jobs.
    Index("jobs_newest", "account_id", "environment", text('id COLLATE "C" DESC')),
    Index("jobs_newest_by_status", "account_id", "environment", "status", text('id COLLATE "C" DESC')),
    # In collations of their own, so that no index with the same first columns is taken for one of them.
    Index("jobs_created", text('account_id COLLATE "C"'), text('environment COLLATE "C"'), "created_at"),
    Index(
        "jobs_unfinished",
        text('account_id COLLATE "POSIX"'),
        text('environment COLLATE "POSIX"'),
        "created_at",
        postgresql_where=text("status IN ('pending', 'processing')"),
    ),
    Index(
        "jobs_content_kept",
        "account_id",
        "ended_at",
        postgresql_where=text("ended_at IS NOT NULL AND content_deleted_at IS NULL"),
    ),
    Index(
        "jobs_media_kept",
        "account_id",
        "ended_at",
        postgresql_where=text("ended_at IS NOT NULL AND video_url IS NOT NULL AND media_deleted_at IS NULL"),
    ),
)
"""What customers see. A row is written at acceptance, at the start and at the end, and when a refund is made.

It lies in a partition for the prefix and the month of its id, whose primary key is the partition's own. What belongs
to a job refers to it by no foreign key: rows go with their month alone, and not before nothing refers to them.

What was reserved is what was charged and what was refunded, at the end. `returned_micros` is the part of what was
charged that an operator gave back later. `traceparent` is null unless the job is traced,
and `names_seed` unless its customer named the seed.
`rendered_by` is the provider whose result it is, noted when it ends. It is null until then, and in rows of before.
"""

work = Table(
    "work",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("state_since", Moment, nullable=False, server_default=text("now()")),
    Column("due_at", Moment, nullable=False, server_default=text("now()")),
    Column("lease_no", BigInteger, nullable=False, server_default=text("0")),
    Column("lease_until", Moment, nullable=False, server_default=text("'-infinity'")),
    Column("wake_no", Integer, nullable=False, server_default=text("0")),
    Column("check_count", Integer, nullable=False, server_default=text("0")),
    Column("account_id", Text, nullable=False, server_default=text("''")),
    Column("environment", Text, nullable=False, server_default=text("''")),
    Column("key_id", Text, nullable=False, server_default=text("''")),
    Column("admitted_at", Moment, server_default=text("now()")),
    Column("claim_count", Integer, nullable=False, server_default=text("0")),
    Column("stalled_since", Moment),
    Column("last_error", Text),
    Column("awaits_fetch", Boolean, nullable=False, server_default=text("false")),
    Column("waits_for", ARRAY(Text)),
    Column("waits_on", ARRAY(Text)),
    Index("work_due_in_lane", "awaits_fetch", "due_at"),
    Index("work_turns", "awaits_fetch", "environment", "account_id", "due_at"),
    Index("work_stalled", "stalled_since", postgresql_where=text("stalled_since IS NOT NULL")),
    Index("work_state_since", "state_since"),
    Index(
        "work_admitted",
        "account_id",
        "environment",
        "key_id",
        postgresql_where=text("admitted_at IS NOT NULL"),
    ),
    Index(
        "work_waiting",
        "account_id",
        "environment",
        "key_id",
        text('job_id COLLATE "C"'),
        postgresql_where=text("admitted_at IS NULL AND state = 'pending'"),
    ),
    Index(
        "work_parked",
        "waits_for",
        "waits_on",
        "environment",
        "account_id",
        "admitted_at",
        postgresql_where=text("waits_for IS NOT NULL AND state = 'pending'"),
    ),
)
"""One narrow row for each unfinished job: when it is due, and who has it.

One that is not admitted waits for a place at a provider: it is never due. `claim_count` counts the claims since the job
last got on, `stalled_since` is when the first of them failed. One that awaits its fetch has a result at its provider, and
is claimed in a lane of its own. One for which no route has room waits for the routes in `waits_for`, whose credentials
are in `waits_on`; it was called up if `waits_for` is empty.
"""

caps = Table(
    "caps",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("jobs_max", Integer, nullable=False),
)
"""How many jobs of an account, or of one of its keys, may be at providers at once: what the last creation brought.

The account's own cap has an empty `key_id`.
"""

places = Table(
    "places",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("placed", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
)
"""How many jobs of an account, or of one of its keys, have a place at a provider, and how many wait for one.

Together with the changes that are not folded into it yet. The account's own row has an empty `key_id`.
"""

place_changes = Table(
    "place_changes",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("change_id", BigInteger, Identity(always=True), primary_key=True),
    Column("placed", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
)
"""What triggers on `work` note: by how much the counts of a key and of its account changed, in the commit that did it.

Only ever added, so whoever gives a place back waits for nobody. Whoever takes one folds them into `places`.
"""
