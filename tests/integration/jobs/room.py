"""A jobs database with jobs of several accounts, and workers that begin them on routes with limits."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.common.postgres.database import Pool
from services.jobs.domain.claims import Candidate, Claim, NoRoomError
from services.jobs.domain.routes import Credential
from services.jobs.store.queue.parked import SqlParked
from services.jobs.store.queue.work import SqlWork
from tests.integration.jobs.conftest import OWNER, a_candidate, a_job, store_jobs


@dataclass
class Room:
    """Jobs that begin where there is room."""

    pool: Pool
    workers: Sequence[SqlWork]

    async def sql(self, statement: str) -> list[dict[str, Any]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    async def store(self, *numbers: int, account: str = "acct_1") -> None:
        owner = replace(OWNER, account_id=account)
        await store_jobs(self.pool, *(replace(a_job(number), owner=owner) for number in numbers))
        await self.sql(
            "UPDATE work SET account_id = jobs.account_id, environment = jobs.environment FROM jobs WHERE id = job_id"
        )

    async def claims(self, worker: int = 0, limit: int = 100) -> list[Claim]:
        return await self.workers[worker].claim(limit=limit, lease_seconds=600)

    async def begin(self, claim: Claim, *candidates: Candidate, worker: int = 0) -> Claim | None:
        """Returns the claim with its attempt. None: no route had room."""
        token = f"{claim.job.id}-{claim.lease_no}"
        try:
            return await self.workers[worker].open_attempt(claim, candidates=candidates, token=token)
        except NoRoomError:
            return None

    async def begin_all(self, claims: Sequence[Claim], *candidates: Candidate) -> list[Claim]:
        """Begins jobs at once, each with one worker after the other. Returns those that got a route."""
        begun = await asyncio.gather(
            *(
                self.begin(claim, *candidates, worker=number % len(self.workers))
                for number, claim in enumerate(claims)
            )
        )
        return [claim for claim in begun if claim is not None]

    async def call_up(self, *candidates: Candidate) -> int:
        """Lets jobs go on for which the credentials of these routes have room."""
        credentials = {
            each.credential: Credential(
                name=each.credential,
                provider=each.provider,
                base_url="",
                keys=each.keys,
                jobs_at_once=each.jobs_at_once,
                requests_per_minute=each.requests_per_minute,
            )
            for each in candidates
        }
        return await SqlParked(self.pool).call_up(
            tuple(credentials.values()),
            credential_by_route={each.route: each.credential for each in candidates},
        )

    async def waiting(self) -> list[str]:
        rows = await self.sql("SELECT job_id FROM work WHERE waits_for > '{}' ORDER BY job_id")
        return [row["job_id"] for row in rows]

    async def routes(self) -> list[str]:
        """Returns the routes of all attempts, in the order of their jobs."""
        return [row["route"] for row in await self.sql("SELECT route FROM attempts ORDER BY job_id, number")]


def limited(route: str = "narrow", **changes: Any) -> Candidate:
    return a_candidate(route, **changes)
