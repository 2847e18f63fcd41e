"""The tables of the jobs database. Times are the database clock's; amounts are micro-credits."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

from services.common.idempotency.store import idempotency_table

metadata = MetaData()
Moment = DateTime(timezone=True)

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

attempts = Table(
    "attempts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("route", Text, nullable=False),
    Column("upstream_model", Text, nullable=False),
    Column("token", Text, nullable=False, unique=True),
    Column("lease_no", BigInteger, nullable=False),
    Column("opened_at", Moment, nullable=False, server_default=text("now()")),
    Column("task_id", Text),
    Column("claimed_task_id", Text),
    Column("is_claim_authentic", Boolean, nullable=False, server_default=text("false")),
    Column("outcome", Text),
    Column("detail", Text),
    Column("closed_at", Moment),
    Column("provider", Text, nullable=False, server_default=text("''")),
    Column("credential", Text, nullable=False, server_default=text("''")),
    Column("key_name", Text, nullable=False, server_default=text("''")),
    Column("quoted_micros", BigInteger, nullable=False, server_default=text("0")),
    Column("cost_micros", BigInteger),
    Column("failure_class", Text),
    Column("submitted_at", Moment),
    Column("rendered_at", Moment),
    Column("retry_at", Moment),
    Index("attempts_of_job", "job_id", "number", unique=True),
    Index("attempts_open", "credential", "route", postgresql_where=text("outcome IS NULL")),
    Index("attempts_of_route", "route", "opened_at"),
)
"""Every try at a provider, committed before the provider is called. `outcome` is null while it may still run.

`quoted_micros` is what the render costs us by the price of its route, `cost_micros` what the provider charged for it or
possibly did, both in millionths of a US dollar. Its job does not try the same route again before `retry_at`.
"""

route_states = Table(
    "route_states",
    metadata,
    Column("name", Text, primary_key=True),
    Column("is_disabled", Boolean, nullable=False, server_default=text("false")),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("render_failures", Integer, nullable=False, server_default=text("0")),
    Column("openings", Integer, nullable=False, server_default=text("0")),
    Column("opened_until", Moment),
    Column("probe_until", Moment),
    Column("last_error_class", Text),
    Column("last_error_at", Moment),
)
"""What all workers know of a route: whether it is disabled, how often it failed in a row, and until when it is left alone.

`failures` are of orders, `render_failures` of tasks that the provider took. A route that was opened lets one job try it
after `opened_until`, until `probe_until`.
"""

credential_states = Table(
    "credential_states",
    metadata,
    Column("name", Text, primary_key=True),
    Column("key_name", Text),
    Column("out_key_name", Text),
    Column("out_reason", Text),
    Column("out_since", Moment),
    Column("next_request_at", Moment, nullable=False, server_default=text("'-infinity'")),
)
"""What all workers know of a credential: which key an operator chose, which key the provider refused, and its pace.

Null `key_name`: the first of the catalogue. It is out while the key in use is `out_key_name`.
"""

strays = Table(
    "strays",
    metadata,
    Column("attempt_id", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("task_id", Text, nullable=False),
    Column("is_certain", Boolean, nullable=False, server_default=text("false")),
    Column("reason", Text, nullable=False),
    Column("price_micros", BigInteger, nullable=False),
    Column("noted_at", Moment, nullable=False, server_default=text("now()")),
    Column("due_at", Moment, nullable=False, server_default=text("now()")),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("outcome", Text),
    Column("ended_at", Moment),
    Column("credential", Text, nullable=False, server_default=text("''")),
    Column("key_name", Text, nullable=False, server_default=text("''")),
    Index("strays_due", "due_at", postgresql_where=text("outcome IS NULL")),
)
"""Tasks at providers that no job waits for, until and after they have ended. They outlive their attempts.

`price_micros` is what the job would have cost its customer. `is_certain`: the provider itself named the task, in its answer
to our order or in a callback that it signed. An empty `task_id` is a task that may have been started and that nobody can name.
"""

outbox = Table(
    "outbox",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("contract", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("target_url", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("occurred_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False, server_default=text("now()")),
    Column("refusal", Text),
    Column("traceparent", Text),
    Index("outbox_of_job", "job_id", "sequence", unique=True),
    Index("outbox_due", "due_at", "event_id"),
    Index("outbox_refused", "occurred_at", "event_id", postgresql_where=text("refusal IS NOT NULL")),
)
"""Events that the webhooks service has not yet taken over. A row goes when it has.

One that was refused is due again later, and with it the later ones of its job.
"""


def _usage(name: str, period: Column[Any]) -> Table:
    return Table(
        name,
        metadata,
        Column("account_id", Text, primary_key=True),
        Column("environment", Text, primary_key=True),
        period,
        Column("model", Text, primary_key=True),
        Column("completed_jobs", Integer, nullable=False),
        Column("failed_jobs", Integer, nullable=False),
        Column("charged_micros", BigInteger, nullable=False),
        Column("refunded_micros", BigInteger, nullable=False),
    )


usage_daily = _usage("usage_daily", Column("day", Date, primary_key=True))
"""Ended jobs by UTC day of creation, kept up when they end or are refunded.

`charged_micros` is gross: what was debited, what went back later included. `refunded_micros` is what went back.
"""

usage_hourly = _usage("usage_hourly", Column("hour", Moment, primary_key=True))
"""The same by the hour, so that a range that begins or ends within a day counts no more than an hour's jobs."""

_MARGIN_COUNTS = ("completed_jobs", "failed_jobs", "charged_micros", "returned_micros", "cost_micros")

margins_daily = Table(
    "margins_daily",
    metadata,
    Column("day", Date, primary_key=True),
    Column("account_id", Text, primary_key=True),
    Column("contract", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in _MARGIN_COUNTS),
)
"""What jobs of the live environment brought in, and what attempts cost, by UTC day of the jobs' creation.

Amounts charged and returned are micro-credits; `cost_micros` is millionths of a US dollar, known or possible. The
provider of a job is the one whose result it is, that of a cost the one that charges it. Nothing of it is ever forgotten.
"""

margin_changes = Table(
    "margin_changes",
    metadata,
    Column("change_id", BigInteger, Identity(always=True), primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("completed_jobs", Integer, nullable=False, server_default=text("0")),
    Column("failed_jobs", Integer, nullable=False, server_default=text("0")),
    Column("charged_micros", BigInteger, nullable=False, server_default=text("0")),
    Column("returned_micros", BigInteger, nullable=False, server_default=text("0")),
    Column("cost_micros", BigInteger, nullable=False, server_default=text("0")),
)
"""What triggers on `jobs` and `attempts` note, in the commit that did it, until it is added to `margins_daily`."""

kept_days = Table(
    "kept_days",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("media_days", Integer),
    Column("content_days", Integer),
)
"""For how long operators chose to keep things of single accounts. Null: as long as those of all."""

refunds = Table(
    "refunds",
    metadata,
    Column("refund_id", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column(
        "amount_micros",
        BigInteger,
        CheckConstraint("amount_micros > 0", name="refunds_amount"),
        nullable=False,
    ),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=text("now()")),
    Column("due_at", Moment, nullable=False),
    Column("applied_at", Moment),
    Index("refunds_of_job", "job_id"),
    Index("refunds_due", "due_at", postgresql_where=text("applied_at IS NULL")),
)
"""Refunds that operators decided on. Until one is applied, somebody goes on with it whenever it is due."""

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

idempotency = idempotency_table(metadata)
"""Requests with idempotency keys, and what was answered to them."""

uploads = Table(
    "uploads",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("byte_count", BigInteger, nullable=False),
    Column("arrived_at", Moment),
    Column("created_at", Moment, nullable=False),
    Column("put_until", Moment, nullable=False),
    Column("kept_until", Moment, nullable=False),
    Index("uploads_of_account", "account_id", "environment"),
    Index("uploads_old", "kept_until"),
)
