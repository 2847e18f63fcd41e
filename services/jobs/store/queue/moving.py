"""Moves that come together are made together: one statement and one commit for all of a kind, each job under its lease."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from services.common.postgres.batching import Batcher
from services.common.postgres.database import Pool, Query, fetch
from services.jobs.domain.claims import Claim, LeaseLostError
from services.jobs.store.partitions import prefix_of, these_ids

JOBS_PER_BATCH_MAX = 100
Item = Mapping[str, Any]
Row = Mapping[str, Any]


class Moves:
    """Makes moves of claimed jobs, whose statements begin with `held`. One that breaks its statement fails alone.

    Between two batches of one kind it rests, so that moves which come meanwhile go together.
    """

    def __init__(self, pool: Pool, *, rest_seconds: float) -> None:
        self._pool = pool
        self._rest_seconds = rest_seconds
        self._batchers: dict[tuple[Query, str], Batcher[Item, Row | None]] = {}

    async def make(self, move: Query, claim: Claim, **values: Any) -> Row:
        """Returns what the move returns of the job. Raises LeaseLostError if it returns nothing."""
        item = {"job_id": claim.job.id, "lease_no": claim.lease_no, **values}
        row = await self._batcher(move, prefix=prefix_of(claim.job.id)).submit(item)
        if row is None:
            raise LeaseLostError(claim.job.id)
        return row

    def _batcher(self, move: Query, *, prefix: str) -> Batcher[Item, Row | None]:
        if (move, prefix) not in self._batchers:
            self._batchers[move, prefix] = Batcher(
                partial(self._make_all, move),
                items_max=JOBS_PER_BATCH_MAX,
                name="move_jobs",
                name_of=_name,
                rest_seconds=self._rest_seconds,
            )
        return self._batchers[move, prefix]

    async def _make_all(self, move: Query, items: Sequence[Item]) -> Sequence[Row | None]:
        ids = these_ids([item["job_id"] for item in items])
        known = {name: value for name, value in ids.items() if move.takes(name)}
        rows = await fetch(self._pool, move, items=items_to_json(items), **known)
        found = {(row["job_id"], row["lease_no"]): row for row in rows}
        return [found.get((item["job_id"], item["lease_no"])) for item in items]


def items_to_json(items: Sequence[Item]) -> str:
    """Returns items as statements read them."""
    return json.dumps(items, default=_plain, separators=(",", ":"))


def _plain(value: datetime | bytes) -> str:
    return value.isoformat() if isinstance(value, datetime) else value.decode()


def _name(item: Item) -> str:
    return str(item["job_id"])
