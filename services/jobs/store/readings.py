"""What is due and how many jobs there are, in SQL, for the metrics."""

from collections.abc import Sequence

from psycopg.rows import DictRow
from sqlalchemy import text

from services.common.postgres.database import Query
from services.common.telemetry.readings import Reading, queue_reading
from services.jobs.metrics import CREDENTIAL_OUT, UNFINISHED, WAITING
from services.jobs.store.admission.waiting import IS_WAITING

JOBS_MAX = 100_000
"""That are counted: of a table of unfinished jobs only."""
CREDENTIALS_MAX = 1_000

_STATES = Query(
    text(f"""
    SELECT CASE WHEN {IS_WAITING} THEN '{WAITING}' ELSE state END AS state, count(*) AS jobs
    FROM (SELECT state, admitted_at FROM work LIMIT {JOBS_MAX}) AS unfinished GROUP BY 1
    """)  # noqa: S608
)
# A job that is being walked stays due. There are no more of those than workers walk at once.
_DUE = "SELECT due_at FROM work WHERE awaits_fetch = {} AND due_at <= now() AND lease_until <= now()"
_CREDENTIALS = Query(
    text(f"""
    SELECT name, out_reason FROM credential_states WHERE out_key_name IS NOT NULL ORDER BY name LIMIT {CREDENTIALS_MAX}
    """)  # noqa: S608
)
_shown_out: set[tuple[str, str]] = set()


def _show_credentials(rows: Sequence[DictRow]) -> None:
    out = {(row["name"], row["out_reason"] or "") for row in rows}
    for credential, reason in _shown_out - out:
        CREDENTIAL_OUT.labels(credential, reason).set(0)
    for credential, reason in out:
        CREDENTIAL_OUT.labels(credential, reason).set(1)
    _shown_out.update(out)


def _show_states(rows: Sequence[DictRow]) -> None:
    found = {row["state"]: row["jobs"] for row in rows}
    for state, shown in UNFINISHED.items():
        shown.set(found.get(state, 0))


READINGS = (
    Reading(_STATES, _show_states),
    Reading(_CREDENTIALS, _show_credentials),
    queue_reading("work", due=_DUE.format("false")),
    queue_reading("fetch", due=_DUE.format("true")),
    # What waits behind an event of its job that was refused is not offered either.
    queue_reading(
        "outbox",
        due="""
        SELECT due_at FROM outbox
        WHERE due_at <= now() AND NOT EXISTS (
            SELECT FROM outbox AS earlier
            WHERE earlier.job_id = outbox.job_id AND earlier.sequence < outbox.sequence AND earlier.refusal IS NOT NULL
        )""",
    ),
    queue_reading("refunds", due="SELECT due_at FROM refunds WHERE applied_at IS NULL AND due_at <= now()"),
    queue_reading("strays", due="SELECT due_at FROM strays WHERE outcome IS NULL AND due_at <= now()"),
)
