"""What a jobs process wants of the ledger at one moment goes there in one call, and every caller gets the answer of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import grpc
import pytest
from reelgate.internal.ledger.v1 import ledger_service_pb2 as ledger_pb2
from reelgate.internal.ledger.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server

from services.billing.rpc.ledger import LedgerServicer
from services.billing.store.accounts import SqlAccounts
from services.billing.store.holds import SqlHolds
from services.common.errors import OUTAGE_MESSAGE, Reason, ServiceError
from services.common.postgres.database import open_pool
from services.common.rpc.client import open_channel
from services.common.rpc.internal_port import inner_port
from services.common.rpc.server import serve
from services.jobs.clients import LedgerClient
from services.jobs.domain.ledger import Hold
from services.jobs.domain.requests import Owner
from tests.conftest import MakeDatabase, free_port
from tests.integration.billing.running import CREDIT, Billing, running_billing
from tests.metric_values import values
from tests.patience import PATIENCE_SECONDS

SERVICE = "reelgate.internal.ledger.v1.LedgerService"
OF_SEVERAL = ("CreateHolds", "ChangeHolds")
"""The methods that the release before did not have."""


@dataclass(frozen=True)
class Purse:
    """An account with 20 credits, and the ledger as a jobs process reaches it."""

    billing: Billing
    ledger: LedgerClient
    owner: Owner

    async def hold(self, hold_id: str, micros: int = CREDIT) -> Hold:
        return await self.ledger.hold(hold_id, owner=self.owner, key_id="", amount_micros=micros)


@pytest.fixture
async def billing(make_database: MakeDatabase) -> AsyncIterator[Billing]:
    async with running_billing(make_database("billing")) as running:
        yield running


@asynccontextmanager
async def opened_purse(billing: Billing, address: str) -> AsyncIterator[Purse]:
    account_id = await billing.account(credits_live=20)
    owner = Owner(account_id=account_id, environment="live", contract="seedancee2")
    async with open_channel(address, timeout_seconds=PATIENCE_SECONDS) as channel:
        yield Purse(billing, LedgerClient(channel), owner)


@pytest.fixture
async def purse(billing: Billing) -> AsyncIterator[Purse]:
    async with opened_purse(billing, billing.running.internal_address) as found:
        yield found


def calls_made() -> dict[str, float]:
    """Returns how many calls of which method ended how."""
    return {
        f"{method.partition('/')[2]} {code}": count
        for (code, method), count in values("reelgate_client_rpc_total").items()
        if count
    }


def more(before: Mapping[str, float]) -> dict[str, float]:
    return {name: n - before.get(name, 0) for name, n in calls_made().items() if n > before.get(name, 0)}


async def settled(*calls: Awaitable[object]) -> list[object]:
    """Makes calls at one moment. Returns their answers, and of refusals everything that they say."""
    return [_told(each) for each in await asyncio.gather(*calls, return_exceptions=True)]


def _told(answer: object) -> object:
    if isinstance(answer, ServiceError):
        return (answer.reason, answer.message, answer.metadata)
    return answer


async def test_holds_of_one_moment_are_one_call_and_take_no_more_than_there_is(purse: Purse) -> None:
    before = calls_made()

    answers = await settled(*(purse.hold(f"vid_{number:02}") for number in range(30)))

    held = [answer for answer in answers if isinstance(answer, Hold)]
    refused = [answer for answer in answers if not isinstance(answer, Hold)]
    assert more(before) == {"CreateHolds OK": 1}
    assert (len(held), len(refused)) == (20, 10)
    assert all(
        answer.hold_id == f"vid_{at:02}" for at, answer in enumerate(answers) if isinstance(answer, Hold)
    )
    assert await purse.billing.balance(purse.owner.account_id) == (0, 20 * CREDIT)
    # In the words that one alone hears.
    assert set(map(str, refused)) == set(map(str, await settled(purse.hold("vid_alone"))))


async def test_changes_of_one_moment_are_one_call_with_an_outcome_each(purse: Purse) -> None:
    names = ("vid_confirm", "vid_capture", "vid_release", "vid_above", "vid_captured")
    await asyncio.gather(*map(purse.hold, names))
    await purse.ledger.capture("vid_captured", amount_micros=CREDIT)
    ledger, before = purse.ledger, calls_made()

    def wanted() -> Sequence[Awaitable[None]]:
        return (
            ledger.confirm("vid_confirm", lasts_seconds=60),
            ledger.capture("vid_capture", amount_micros=CREDIT // 2),
            ledger.release("vid_release"),
            ledger.capture("vid_above", amount_micros=2 * CREDIT),
            ledger.release("vid_captured"),
            ledger.release("vid_none"),
        )

    together = await settled(*wanted())
    assert more(before) == {"ChangeHolds OK": 1}
    assert [type(each) for each in together] == [type(None)] * 3 + [tuple] * 3
    assert await purse.billing.balance(purse.owner.account_id) == (16 * CREDIT + CREDIT // 2, 2 * CREDIT)
    # Repeated one by one, each is answered the same.
    assert [*together] == [(await settled(each))[0] for each in wanted()]
    assert set(more(before)) > {"ConfirmHold OK", "CaptureHold OK", "ReleaseHold OK"}


async def test_one_that_breaks_a_rule_is_refused_alone_in_its_own_words(purse: Purse) -> None:
    good, bad, *_ = await settled(purse.hold("vid_good"), purse.hold("vid_bad", 0))

    assert isinstance(good, Hold)
    assert bad == (
        Reason.INVALID_FIELD,
        "Field amount_micros must be greater than or equal to 1 and less than or equal to 1000000000000000. It was 0.",
        {"field": "amount_micros"},
    )


async def test_a_billing_that_is_not_there_fails_each_as_it_fails_one() -> None:
    owner = Owner(account_id="acct_1", environment="live", contract="seedancee2")
    async with open_channel(f"127.0.0.1:{free_port()}") as channel:
        ledger = LedgerClient(channel)
        answers = await settled(
            *(ledger.hold(name, owner=owner, key_id="", amount_micros=1) for name in ("vid_1", "vid_2"))
        )

    assert answers == [(Reason.UNAVAILABLE, OUTAGE_MESSAGE[Reason.UNAVAILABLE], {})] * 2


class OfTheReleaseBefore:
    """Stands where a server does when a servicer is added, and leaves the methods out that the release before had not."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, _handlers: object) -> None:
        """Comes with all methods, which the other one names."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        old = {name: handler for name, handler in handlers.items() if name not in OF_SEVERAL}
        assert len(old) == len(handlers) - len(OF_SEVERAL)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, old),))


@asynccontextmanager
async def older_billing(database_url: str) -> AsyncIterator[str]:
    """Serves the ledger as the release before did. Yields its address."""
    async with open_pool(database_url, name="older", connections_max=4) as pool:
        servicer = LedgerServicer(holds=SqlHolds(pool), accounts=SqlAccounts(pool))

        def add(server: grpc.aio.Server) -> None:
            add_LedgerServiceServicer_to_server(servicer, cast("grpc.aio.Server", OfTheReleaseBefore(server)))

        port = inner_port("127.0.0.1:0", ((SERVICE, add, ()),), tls=None, reflection=False)
        async with serve(port) as [address]:
            yield address


async def test_a_billing_of_the_release_before_is_asked_one_by_one(billing: Billing) -> None:
    async with older_billing(billing.database_url) as address, opened_purse(billing, address) as purse:
        await purse.hold("vid_first")
        before = calls_made()

        held = await settled(*(purse.hold(f"vid_{number:02}") for number in range(20)))
        again = await settled(*(purse.hold(f"vid_{number:02}") for number in range(20)))
        changed = await settled(
            purse.ledger.capture("vid_00", amount_micros=CREDIT), purse.ledger.release("vid_none")
        )

    assert sum(isinstance(answer, Hold) for answer in held) == 19
    assert again == held
    assert changed[0] is None
    assert changed[1] == (Reason.HOLD_NOT_FOUND, "There is no hold vid_none.", {"hold_id": "vid_none"})
    assert more(before) == {
        "CreateHolds UNIMPLEMENTED": 1,
        "CreateHold OK": 38,
        "CreateHold FAILED_PRECONDITION": 2,
        "ChangeHolds UNIMPLEMENTED": 1,
        "CaptureHold OK": 1,
        "ReleaseHold NOT_FOUND": 1,
    }


async def test_a_jobs_of_the_release_before_is_served(billing: Billing) -> None:
    account_id = await billing.account(credits_live=20)

    await billing.hold("vid_1", account_id, CREDIT)
    await billing.confirm("vid_1")
    await billing.capture("vid_1", CREDIT)

    assert await billing.balance(account_id) == (19 * CREDIT, 0)


async def test_one_call_takes_a_hundred_holds_and_no_more(billing: Billing) -> None:
    account_id = await billing.account(credits_live=200)

    def request(count: int) -> ledger_pb2.CreateHoldsRequest:
        holds = [
            ledger_pb2.CreateHoldRequest(
                hold_id=f"vid_{n}", account_id=account_id, environment="live", amount_micros=CREDIT
            )
            for n in range(count)
        ]
        return ledger_pb2.CreateHoldsRequest(holds=holds)

    answer = await billing.ledger.CreateHolds(request(100))
    with pytest.raises(ServiceError) as refused:
        await billing.ledger.CreateHolds(request(101))

    assert [each.hold.hold_id for each in answer.outcomes] == [f"vid_{n}" for n in range(100)]
    assert refused.value.reason is Reason.INVALID_FIELD
    assert await billing.balance(account_id) == (100 * CREDIT, 100 * CREDIT)
