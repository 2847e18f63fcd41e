"""What statements about many jobs begin with: their items, and the lock of the jobs whose lease each item names.

Items come as one JSON array of objects. Each row is sought by itself, so that no plan reads a table.
"""

from services.jobs.store.lock_order import once_locked
from services.jobs.store.partitions import is_one


def locked(
    name: str, *, of: str, by: str, row: str, after: str | None = None, lock: str = "NO KEY UPDATE"
) -> str:
    """Returns the part `name`: those rows of the part `of` that have a row, which it locks in the order of a column.

    `row` says of which table it is, and which, by the columns of `each`. It locks none before the part `after` is through.
    """
    return f"""{name} AS MATERIALIZED (
        SELECT each.* FROM (SELECT * FROM {of} WHERE {once_locked(after or of)} ORDER BY {by}) AS each
        CROSS JOIN LATERAL (SELECT FROM {row} FOR {lock}) AS locked
    )"""  # noqa: S608


def held(columns: str, *, states: str | None = None, lock: str = "NO KEY UPDATE") -> str:
    """Returns the parts `item`, with `job_id`, `lease_no` and these columns, and `held`: the items whose jobs are theirs.

    An item's job is its own if the lease is, and if the job is in one of `states`. It stays so until the commit.
    """
    is_in_state = "true" if states is None else f"state IN ({states})"
    row = f"work WHERE work.job_id = each.job_id AND work.lease_no = each.lease_no AND {is_in_state}"
    return f"""item AS (
        SELECT * FROM json_to_recordset(CAST(:items AS json)) AS _ (job_id text, lease_no bigint, {columns})
    ), {locked("held", of="item", by="job_id", row=row, lock=lock)}"""  # noqa: S608


IS_HELD = is_one("work.job_id", "held.job_id")
"""Of a work row: its job is one of `held`."""
