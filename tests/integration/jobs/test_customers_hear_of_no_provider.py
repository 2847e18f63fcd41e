"""Customers hear of no provider, route, credential, key or task, whichever of them failed on the way to their video."""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import pytest

from services.common.postgres.database import Pool
from services.jobs.domain.requests import Owner
from services.upstream.registry import KINDS
from tests.integration.jobs import api as public
from tests.integration.jobs.api import Api, running_api
from tests.integration.jobs.two_routes import ChattyProvider, TwoRoutes, World
from tests.patience import PATIENCE_SECONDS

SECRETS = frozenset({
    "chatty", "alpha", "beta", "-task-", "queue full", "no capacity", "internal error", "no such model", "indecent", "primekey",
    "upstream", "token-", "seedance-", *KINDS,
}) - {"reelgate"}  # fmt: skip
"""No public byte has one of these, in whatever case: names of providers, routes, keys and tasks, and what providers said.

Another Reelgate is a provider too, but its name is our own.
"""
OWN_WORDS = {"seedance-"}
"""Of which the public names of the models of NextAPI have some."""
NOUNS = {"seedancee2": ("Video", "Video"), "nextapi": ("Job", "Job")}
BODIES: dict[str, dict[str, Any]] = {
    "seedancee2": {
        "model": "mini",
        "callback_url": "https://customer.example/hook",
        "input": {"prompt": "waves", "duration": 5, "resolution": "480p"},
    },
    "nextapi": {
        "model": "seedance-2.0-mini",
        "webhook_url": "https://customer.example/hook",
        "prompt": "waves",
        "duration_seconds": 5,
        "resolution": "480p",
    },
}


@pytest.fixture
async def api(jobs_pool: Pool) -> AsyncIterator[Api]:
    async with running_api(jobs_pool) as opened:
        yield opened


def with_failovers(pool: Pool, end: str | None) -> TwoRoutes:
    """Returns two routes of which each fails in its own way before a task ends in the given one; None: with a video."""
    world = World()
    first = ChattyProvider(
        "alpha", world, orders=["busy", "overloaded", "taken"], tasks=["running", "unavailable"]
    )
    second = ChattyProvider("beta", world, orders=["no model", "lost, not started", "lost, started"])
    for provider in (first, second):
        provider.tasks += ["queued", "running"] + ([end] if end else [])
    return TwoRoutes(pool, [first, second])


async def heard(api: Api, contract: str, job_id: str, key: str, *, cancels: bool) -> list[Any]:
    """Returns what calls about a job answer and refuse, and what comes with the answers."""
    service, noun = NOUNS[contract]
    stubs = api.stubs[service]
    found: list[Any] = []
    for name in (f"Get{noun}", f"List{noun}s", *([f"Cancel{noun}"] if cancels else [])):
        request = public._request(service, name, {} if name.startswith("List") else {"id": job_id})
        call = getattr(stubs, name)(
            request, metadata=(("authorization", f"Bearer {key}"),), timeout=PATIENCE_SECONDS
        )
        with suppress(grpc.aio.AioRpcError):
            found.append(str(await call))
        found += [await call.details(), list(await call.initial_metadata() or ())]
        found.append(list(await call.trailing_metadata() or ()))
    return found


@pytest.mark.parametrize("end", ["indecent", "failed", None])
@pytest.mark.parametrize("contract", ["seedancee2", "nextapi"])
async def test_no_public_byte_names_a_provider(
    api: Api, jobs_pool: Pool, contract: str, end: str | None
) -> None:
    key = api.add_key(contract=contract)
    service, noun = NOUNS[contract]
    answer = await api.call(f"{service}.Create{noun}", BODIES[contract], key=key)
    job_id = answer["data"]["id"] if "data" in answer else answer["id"]
    routes = with_failovers(jobs_pool, end)
    owner = Owner(account_id="acct_1", environment="live", contract=contract)
    [row] = await routes.sql("SELECT reserved_micros FROM jobs")
    await routes.ledger.hold(job_id, owner=owner, key_id="key_0", amount_micros=row["reserved_micros"])
    said: list[Any] = [answer]

    async def listen() -> None:
        said.extend(await heard(api, contract, job_id, key, cancels=False))

    routes.meanwhile = listen
    await routes.play()
    said += await heard(api, contract, job_id, key, cancels=True)

    events = await routes.sql(
        "SELECT convert_from(body, 'UTF8') AS body, type, event_id, target_url FROM outbox"
    )
    attempts = await routes.sql("SELECT route, outcome, detail FROM attempts")
    assert {each["route"] for each in attempts} == {"alpha", "beta"}
    assert len(attempts) >= 4, "nothing failed on the way"
    assert events
    text = json.dumps([said, events], default=repr).lower()
    secrets = SECRETS - (OWN_WORDS if contract == "nextapi" else set())
    assert {secret for secret in secrets if secret in text} == set()
