"""What jobs calls: billing, webhooks, and a moderation endpoint."""

import json
import logging
import math
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import aiohttp
from grpc import aio
from reelgate.internal.intake.v1.event_pb2 import Event
from reelgate.internal.intake.v1.intake_service_pb2 import AcceptEventsRequest
from reelgate.internal.intake.v1.intake_service_pb2_grpc import IntakeServiceStub
from reelgate.internal.ledger.v1 import hold_pb2
from reelgate.internal.ledger.v1 import ledger_service_pb2 as ledger_pb2
from reelgate.internal.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from reelgate.internal.prices.v1.price_pb2 import PriceVersion
from reelgate.internal.prices.v1.price_service_pb2 import ListPricesRequest
from reelgate.internal.prices.v1.price_service_pb2_grpc import PriceServiceStub
from typing_extensions import override

from services.common.egress.session_failures import session_failure_text
from services.common.egress.urls import outgoing_url
from services.common.errors import Reason, ServiceError
from services.common.rpc.statuses import error_of
from services.common.rpc.together import Together
from services.common.single_flight import SingleFlight
from services.common.telemetry.tracing import CALL, span
from services.jobs.domain.events import OutboxEvent
from services.jobs.domain.ledger import Hold, HoldState
from services.jobs.domain.offers import Price, PriceList
from services.jobs.domain.requests import Owner
from services.jobs.ports import Funds, Holds, Intake, Ledger, Prices


class ModeratorUnavailableError(Exception):
    """There was no usable judgement in time. `detail` is for operators and does not hold the prompt."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


log = logging.getLogger(__name__)

HOLDS_PER_CALL_MAX = 100
HOLD_TIMEOUT_SECONDS = 5.0
LEDGER_TIMEOUT_SECONDS = 10.0
INTAKE_TIMEOUT_SECONDS = 10.0
LOOK_UP_TIMEOUT_SECONDS = 3.0
PRICES_KNOWN_SECONDS = 4.0
"""So that a new price reaches every process within 5 seconds."""
MODERATION_BYTES_MAX = 256 * 1024
_MODERATION_CATEGORY = re.compile(r"[a-z0-9][a-z0-9_/ -]{0,63}")


class LedgerClient(Ledger, Funds):
    """The ledger of the billing service. What many callers want at the same moment goes there in one call."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = LedgerServiceStub(channel)
        self._creations = Together(
            one=self._create,
            several=self._create_all,
            name="create holds",
            requests_max=HOLDS_PER_CALL_MAX,
            seconds_max=HOLD_TIMEOUT_SECONDS,
        )
        self._changes = Together(
            one=self._change,
            several=self._change_all,
            name="change holds",
            requests_max=HOLDS_PER_CALL_MAX,
            seconds_max=LEDGER_TIMEOUT_SECONDS,
        )

    @override
    async def hold(self, hold_id: str, *, owner: Owner, key_id: str, amount_micros: int) -> Hold:
        request = ledger_pb2.CreateHoldRequest(
            hold_id=hold_id,
            account_id=owner.account_id,
            environment=owner.environment,
            amount_micros=amount_micros,
            key_id=key_id or None,
        )
        return _parse_hold(await self._creations.ask(request))

    @override
    async def available(self, owner: Owner) -> int:
        request = ledger_pb2.GetFundsRequest(account_id=owner.account_id, environment=owner.environment)
        funds = await self._stub.GetFunds(request, timeout=LOOK_UP_TIMEOUT_SECONDS)
        return funds.available_micros

    @override
    async def find(self, hold_id: str) -> Hold | None:
        request = ledger_pb2.GetHoldsRequest(hold_ids=[hold_id])
        answer = await self._stub.GetHolds(request, timeout=LEDGER_TIMEOUT_SECONDS)
        return next(map(_parse_hold, answer.holds), None)

    @override
    async def confirm(self, hold_id: str, *, lasts_seconds: int) -> None:
        request = ledger_pb2.ConfirmHoldRequest(hold_id=hold_id, lasts_seconds=lasts_seconds)
        await self._changes.ask(ledger_pb2.HoldChange(confirm=request))

    @override
    async def capture(self, hold_id: str, *, amount_micros: int) -> None:
        request = ledger_pb2.CaptureHoldRequest(hold_id=hold_id, amount_micros=amount_micros)
        await self._changes.ask(ledger_pb2.HoldChange(capture=request))

    @override
    async def release(self, hold_id: str) -> None:
        request = ledger_pb2.ReleaseHoldRequest(hold_id=hold_id)
        await self._changes.ask(ledger_pb2.HoldChange(release=request))

    @override
    async def refund(self, refund_id: str, *, hold_id: str, amount_micros: int, reason: str) -> None:
        request = ledger_pb2.RefundHoldRequest(
            refund_id=refund_id, hold_id=hold_id, amount_micros=amount_micros, reason=reason
        )
        await self._stub.RefundHold(request, timeout=LEDGER_TIMEOUT_SECONDS)

    async def _create(self, request: ledger_pb2.CreateHoldRequest, seconds: float) -> hold_pb2.Hold:
        return (await self._stub.CreateHold(request, timeout=seconds)).hold

    async def _create_all(
        self, requests: Sequence[ledger_pb2.CreateHoldRequest], seconds: float
    ) -> list[hold_pb2.Hold | ServiceError]:
        answer = await self._stub.CreateHolds(ledger_pb2.CreateHoldsRequest(holds=requests), timeout=seconds)
        return [_outcome(each) for each in answer.outcomes]

    async def _change(self, change: ledger_pb2.HoldChange, seconds: float) -> hold_pb2.Hold:
        match change.WhichOneof("change"):
            case "confirm":
                return (await self._stub.ConfirmHold(change.confirm, timeout=seconds)).hold
            case "capture":
                return (await self._stub.CaptureHold(change.capture, timeout=seconds)).hold
            case _:
                return (await self._stub.ReleaseHold(change.release, timeout=seconds)).hold

    async def _change_all(
        self, changes: Sequence[ledger_pb2.HoldChange], seconds: float
    ) -> list[hold_pb2.Hold | ServiceError]:
        answer = await self._stub.ChangeHolds(ledger_pb2.ChangeHoldsRequest(changes=changes), timeout=seconds)
        return [_outcome(each) for each in answer.outcomes]


class HoldClient(Holds):
    """The holds of the billing service."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = LedgerServiceStub(channel)

    @override
    async def get(self, hold_ids: Sequence[str]) -> list[Hold]:
        if not hold_ids:
            return []
        request = ledger_pb2.GetHoldsRequest(hold_ids=hold_ids)
        answer = await self._stub.GetHolds(request, timeout=LEDGER_TIMEOUT_SECONDS)
        return [_parse_hold(hold) for hold in answer.holds]

    @override
    async def page(self, *, after_id: str, holds_max: int) -> list[Hold]:
        request = ledger_pb2.ListHoldsRequest(page_token=after_id, page_size=holds_max)
        answer = await self._stub.ListHolds(request, timeout=LEDGER_TIMEOUT_SECONDS)
        return [_parse_hold(hold) for hold in answer.holds]

    async def unconfirmed(self, *, age_seconds_min: int, after_id: str, holds_max: int) -> list[Hold]:
        """Returns holds of jobs not begun, of at least this age, with the lowest ids after one, lowest first."""
        request = ledger_pb2.ListUnconfirmedHoldsRequest(
            age_seconds_min=age_seconds_min, page_token=after_id, page_size=holds_max
        )
        answer = await self._stub.ListUnconfirmedHolds(request, timeout=LEDGER_TIMEOUT_SECONDS)
        return [_parse_hold(hold) for hold in answer.holds]


def _outcome(outcome: ledger_pb2.HoldOutcome) -> hold_pb2.Hold | ServiceError:
    return error_of(outcome.refusal) if outcome.HasField("refusal") else outcome.hold


def _parse_hold(hold: hold_pb2.Hold) -> Hold:
    return Hold(
        hold_id=hold.hold_id,
        account_id=hold.account_id,
        environment=hold.environment,
        amount_micros=hold.amount_micros,
        captured_micros=hold.captured_micros,
        refunded_micros=hold.refunded_micros,
        state=_HOLD_STATE[hold.state],
        created_at=datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=hold.created_at_millis),
    )


_HOLD_STATE = {
    hold_pb2.Hold.STATE_PROVISIONAL: HoldState.PROVISIONAL,
    hold_pb2.Hold.STATE_CONFIRMED: HoldState.CONFIRMED,
    hold_pb2.Hold.STATE_CAPTURED: HoldState.CAPTURED,
    hold_pb2.Hold.STATE_RELEASED: HoldState.RELEASED,
    hold_pb2.Hold.STATE_EXPIRED: HoldState.EXPIRED,
}
assert set(_HOLD_STATE.values()) == set(HoldState)


class IntakeClient(Intake):
    """The intake of the webhooks service."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = IntakeServiceStub(channel)

    @override
    async def accept(self, events: Sequence[OutboxEvent]) -> None:
        request = AcceptEventsRequest(events=[_render_event(event) for event in events])
        await self._stub.AcceptEvents(request, timeout=INTAKE_TIMEOUT_SECONDS)


def _render_event(event: OutboxEvent) -> Event:
    return Event(
        event_id=event.event_id,
        job_id=event.job_id,
        account_id=event.owner.account_id,
        environment=event.owner.environment,
        contract=event.owner.contract,
        type=event.type,
        sequence=event.sequence,
        target_url=event.target_url,
        body=event.body,
        occurred_at_millis=int(event.occurred_at.timestamp() * 1000),
    )


class PriceClient:
    """Reads prices at the billing service."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = PriceServiceStub(channel)

    async def fetch(self) -> PriceList:
        """Returns the prices."""
        answer = await self._stub.ListPrices(ListPricesRequest(), timeout=LOOK_UP_TIMEOUT_SECONDS)
        return _parse_prices(answer.versions)


def _parse_prices(versions: Iterable[PriceVersion]) -> PriceList:
    prices: defaultdict[tuple[str, str, str], list[Price]] = defaultdict(list)
    for version in versions:
        valid_from = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=version.valid_from_millis)
        for price in version.prices:
            prices[price.model, price.resolution, price.environment].append(
                Price(
                    version=version.version,
                    valid_from=valid_from,
                    micros_per_second=price.micros_per_second,
                )
            )
    return PriceList(prices=prices)


class PriceCache(Prices):
    """Prices, from memory for PRICES_KNOWN_SECONDS. Asks once for many waiting callers.

    While billing does not answer, what it said last goes on holding.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[PriceList]], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._known: PriceList | None = None
        self._known_until = -math.inf
        self._flights = SingleFlight[None, PriceList]()

    @override
    async def current(self) -> PriceList:
        if self._known is not None and self._monotonic() < self._known_until:
            return self._known
        return await self._flights.run(None, self._ask)

    async def _ask(self) -> PriceList:
        try:
            asked_at = self._monotonic()
            self._known = await self._fetch()
            self._known_until = asked_at + PRICES_KNOWN_SECONDS
        except ServiceError as error:
            if self._known is None:
                raise ServiceError(
                    Reason.UNAVAILABLE, "Prices are not known yet. Please try again."
                ) from error
            log.warning("prices not refreshed: %s", error)
        return self._known


class ModerationClient:
    """An endpoint that speaks like OpenAI's `POST /v1/moderations`. Nothing is tried twice."""

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        url: str,
        api_key: str | None,
        model: str | None,
        timeout_seconds: float,
    ) -> None:
        self._session = session
        self._url = url
        self._headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self._fixed = {} if model is None else {"model": model}
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)

    async def category_of(self, prompt: str) -> str | None:
        """Returns the category a prompt is flagged for, if any. Raises ModeratorUnavailableError."""
        try:
            with span("moderation", kind=CALL) as asked:
                status, body = await self._ask({**self._fixed, "input": prompt})
                asked.note(status=status)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ModeratorUnavailableError(session_failure_text(error)) from error
        if status != HTTPStatus.OK:
            raise ModeratorUnavailableError(f"status {status}")
        try:
            return _flagged_category(json.loads(body))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ModeratorUnavailableError("the answer is not one about a moderation") from error

    async def _ask(self, question: Mapping[str, str]) -> tuple[int, bytes]:
        async with self._session.post(
            outgoing_url(self._url),
            json=question,
            headers=self._headers,
            timeout=self._timeout,
            allow_redirects=False,
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MODERATION_BYTES_MAX:
                    raise ModeratorUnavailableError("the answer is too long")
            return response.status, bytes(body)


def _flagged_category(answer: Any) -> str | None:
    result = answer["results"][0]
    if not isinstance(result["flagged"], bool):
        raise TypeError
    if not result["flagged"]:
        return None
    named = (name for name, is_flagged in result.get("categories", {}).items() if is_flagged is True)
    # It is shown to customers, so it must look like the name of a category.
    return next(filter(_MODERATION_CATEGORY.fullmatch, named), "other")
