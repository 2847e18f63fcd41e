"""What jobs leave behind when they have ended: their customer, the ledger, the provider and the receiver all know."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, LiteralString, Self

import aiohttp
import psycopg

from services.devstack.folder import StackFolder
from services.devstack.processes import ARK_API_PATH
from services.jobs.domain.ledger import ORPHAN_SECONDS
from tests.e2e.customer import ENDED, POLL_SECONDS, SMALL, VIDEOS, Customer
from tests.e2e.local_stack import Account, Stack
from tests.e2e.receiver import Receiver
from tests.integration.billing.books import broken_rules
from tests.patience import PATIENCE_SECONDS

CREDITS_EACH = 20
"""What the clip of an `order` costs when it comes whole."""
MICROS_PER_CREDIT = 1_000_000
LISTED_MAX = 500


def order(prompt: str, *, hook: str) -> dict[str, Any]:
    """Returns a creation of the cheapest clip."""
    return {"model": "mini", "input": {"prompt": prompt, **SMALL}, "callback_url": hook}


def settled(credits_taken: int) -> tuple[str, int]:
    """Returns what becomes of the hold of a job that costs this much in the end."""
    return ("captured", credits_taken * MICROS_PER_CREDIT) if credits_taken else ("released", 0)


async def until_all_ended(customer: Customer, *, seconds: float) -> dict[str, dict[str, Any]]:
    """Looks, through outages too, until all of a customer's videos have ended. Returns them by id, 100 at the most."""
    deadline = time.monotonic() + seconds
    unfinished: Any = "no answer"
    while time.monotonic() < deadline:
        # An edge that was killed does not answer; one whose services were killed says so.
        with suppress(aiohttp.ClientError, TimeoutError):
            answer = await customer.send("GET", f"{VIDEOS}?limit=100")
            assert answer.status in {200, 503, 504}, answer.body
            if answer.status == 200:
                videos = {video["id"]: video for video in answer.json["data"]}
                unfinished = [video for video in videos.values() if video["status"] not in ENDED]
                if not unfinished:
                    return videos
        await asyncio.sleep(POLL_SECONDS)
    raise AssertionError(f"not ended within {seconds} s: {unfinished}")


async def assert_told_once(receiver: Receiver, name: str, video: Mapping[str, Any]) -> None:
    """The receiver was told how a job ended. What came again was the same event with the same body."""
    first = await receiver.first(name, seconds=PATIENCE_SECONDS)
    assert json.loads(first.body) == {"data": video}
    assert len({(each.headers["webhook-id"], each.body) for each in receiver.webhooks[name]}) == 1


@dataclass(frozen=True, kw_only=True)
class Books:
    """Reads what the services and the provider of a stack have written down."""

    databases: Mapping[str, str]
    provider_url: str
    provider_key: str

    @classmethod
    def of(cls, stack: Stack) -> Self:
        """Returns the books of a running stack. They stay where they are when its processes are started again."""
        status = stack.status()
        [port] = [each["port"] for each in status["processes"] if each["name"] == "simulator"]
        return cls(
            databases=status["database"],
            provider_url=f"http://127.0.0.1:{port}{ARK_API_PATH}/contents/generations/tasks",
            provider_key=StackFolder(stack.folder).simulator_api_key.read_text(),
        )

    def rows(self, service: str, query: LiteralString, **values: Any) -> list[tuple[Any, ...]]:
        """Returns what a statement finds, or changes, in a service's database."""
        with psycopg.connect(self.databases[service]) as connection:
            return connection.execute(query, values).fetchall()

    def holds(self, account: Account) -> dict[str, tuple[str, int]]:
        """Returns the state of each hold of an account and the micro-credits it took. The whole ledger adds up."""
        assert broken_rules(self.databases["billing"]) == {}
        query: LiteralString = (
            "SELECT hold_id, state, captured_micros FROM holds WHERE account_id = %(owner)s"
        )
        found = self.rows("billing", query, owner=account.account_id)
        return {hold_id: (state, captured) for hold_id, state, captured in found}

    def unfinished(self, account: Account) -> Counter[str]:
        """Returns how many jobs there are by the last durable fact about them."""
        query: LiteralString = "SELECT state FROM work WHERE account_id = %(owner)s"
        return Counter(state for (state,) in self.rows("jobs", query, owner=account.account_id))

    def events(self, account: Account) -> Counter[str]:
        """Returns how many events webhooks has taken over, by job."""
        query: LiteralString = "SELECT job_id FROM events WHERE account_id = %(owner)s"
        return Counter(job_id for (job_id,) in self.rows("webhooks", query, owner=account.account_id))

    async def tasks(self) -> Counter[str]:
        """Returns how many tasks the provider has, by job."""
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {self.provider_key}"}) as provider,
            provider.get(self.provider_url, params={"page_size": LISTED_MAX}) as answer,
        ):
            listed = await answer.json()
        assert listed["total"] <= LISTED_MAX, "some tasks are not listed"
        # The provider knows a task by its attempt: the job's id and a number.
        return Counter(task["safety_identifier"].rpartition("-")[0] for task in listed["items"])


async def until_orphans_are_returned(books: Books, account: Account) -> None:
    """Makes the holds of requests that died old enough to be taken for orphans, and waits until jobs gave them back."""
    books.rows(
        "billing",
        """UPDATE holds SET created_at = created_at - make_interval(secs => %(seconds)s)
        WHERE account_id = %(owner)s AND state = 'provisional' RETURNING hold_id""",
        owner=account.account_id,
        seconds=float(ORPHAN_SECONDS),
    )
    left: LiteralString = "SELECT hold_id FROM holds WHERE account_id = %(owner)s AND resolved_at IS NULL"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while found := books.rows("billing", left, owner=account.account_id):
        assert time.monotonic() < deadline, f"not given back: {found}"
        await asyncio.sleep(POLL_SECONDS)
