"""Attempts, what is known of routes and credentials, and tasks that nobody waits for."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, text

from services.jobs.tables.base import Moment, metadata

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
