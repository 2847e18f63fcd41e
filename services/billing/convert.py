"""Wire messages to domain values and back."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

from reelgate.admin.v1 import (
    account_pb2,
    account_service_pb2,
    key_admin_service_pb2,
    price_admin_service_pb2,
    statement_pb2,
    verifier_service_pb2,
)
from reelgate.admin.v1.key_admin_service_pb2 import KeyKind
from reelgate.billing.v1 import balance_pb2
from reelgate.internal.keys.v1 import key_service_pb2
from reelgate.internal.ledger.v1 import hold_pb2, ledger_service_pb2
from reelgate.internal.limits.v1 import limit_service_pb2
from reelgate.internal.prices.v1 import price_pb2

from services.billing.domain import (
    Account,
    AccountRules,
    Adjustment,
    AdjustmentKind,
    Balance,
    Funds,
    Hold,
    HoldChange,
    HoldState,
    Key,
    KeyRules,
    NewHold,
    NewPrices,
    Price,
    PriceVersion,
    Refund,
    Spending,
    SpendLimits,
    StatementLine,
    StatementRange,
)
from services.common.audit.servicer import parse_note
from services.common.auth.authentication import Caller
from services.common.clock import YEAR_MIN, parse_moment, rfc3339
from services.common.errors import invalid_field
from services.common.money import MICROS_PER_CREDIT
from services.common.paging import number_in, page_size
from services.common.rate_limit.protocol import CallReport, Leased, Moments, moments_of
from services.common.rpc.enums import environment_of, environment_value, text_of, value_of
from services.common.verification.checks import Verified

_EPOCH = datetime.fromtimestamp(0, UTC)
_STATE_ON_WIRE = {
    HoldState.PROVISIONAL: hold_pb2.Hold.STATE_PROVISIONAL,
    HoldState.CONFIRMED: hold_pb2.Hold.STATE_CONFIRMED,
    HoldState.CAPTURED: hold_pb2.Hold.STATE_CAPTURED,
    HoldState.RELEASED: hold_pb2.Hold.STATE_RELEASED,
    HoldState.EXPIRED: hold_pb2.Hold.STATE_EXPIRED,
}
assert _STATE_ON_WIRE.keys() == set(HoldState)
FIRST_MOMENT = datetime(YEAR_MIN, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime.max.replace(tzinfo=UTC)


def parse_new_hold(request: ledger_service_pb2.CreateHoldRequest) -> NewHold:
    """Returns the requested hold."""
    return NewHold(
        hold_id=request.hold_id,
        account_id=request.account_id,
        environment=request.environment,
        amount_micros=request.amount_micros,
        key_id=request.key_id or None,
    )


def parse_confirmation(request: ledger_service_pb2.ConfirmHoldRequest) -> HoldChange:
    """Returns the requested confirmation."""
    return HoldChange(hold_id=request.hold_id, state=HoldState.CONFIRMED, lasts_seconds=request.lasts_seconds)


def parse_capture(request: ledger_service_pb2.CaptureHoldRequest) -> HoldChange:
    """Returns the requested capture."""
    return HoldChange(
        hold_id=request.hold_id, state=HoldState.CAPTURED, captured_micros=request.amount_micros
    )


def parse_release(request: ledger_service_pb2.ReleaseHoldRequest) -> HoldChange:
    """Returns the requested release."""
    return HoldChange(hold_id=request.hold_id, state=HoldState.RELEASED)


def parse_change(change: ledger_service_pb2.HoldChange) -> HoldChange:
    """Returns one of several requested changes."""
    match change.WhichOneof("change"):
        case "confirm":
            return parse_confirmation(change.confirm)
        case "capture":
            return parse_capture(change.capture)
        case _:
            return parse_release(change.release)


def parse_refund(request: ledger_service_pb2.RefundHoldRequest) -> Refund:
    """Returns the requested refund."""
    return Refund(
        refund_id=request.refund_id,
        hold_id=request.hold_id,
        amount_micros=request.amount_micros,
        reason=request.reason,
    )


def parse_grant(request: account_service_pb2.GrantCreditsRequest) -> Adjustment:
    """Returns the requested grant."""
    return Adjustment(
        kind=AdjustmentKind.GRANT,
        adjustment_id=request.grant_id,
        account_id=request.account_id,
        environment=environment_of(request.environment),
        amount_micros=request.amount_micros,
        note=parse_note(request.audit),
    )


def parse_correction(request: account_service_pb2.CorrectBalanceRequest) -> Adjustment:
    """Returns the requested correction."""
    return Adjustment(
        kind=AdjustmentKind.CORRECTION,
        adjustment_id=request.correction_id,
        account_id=request.account_id,
        environment=environment_of(request.environment),
        amount_micros=request.amount_micros,
        note=parse_note(request.audit),
    )


def parse_new_prices(request: price_admin_service_pb2.SetPricesRequest) -> NewPrices:
    """Returns the requested version of prices. Refuses with INVALID_FIELD."""
    return NewPrices(
        version=request.version,
        valid_from=parse_moment("valid_from", request.valid_from) if request.HasField("valid_from") else None,
        prices=tuple(
            Price(
                model=price.model,
                resolution=price.resolution,
                environment=price.environment,
                micros_per_second=price.micros_per_second,
            )
            for price in request.prices
        ),
        note=parse_note(request.audit),
    )


def parse_limits(limits: account_pb2.SpendLimits) -> SpendLimits:
    """Returns what may be spent."""
    return SpendLimits(**{field.name: micros for field, micros in limits.ListFields()})


def parse_account_rules(rules: account_pb2.AccountRules) -> AccountRules:
    """Returns how an account may be used."""
    return AccountRules(**{field.name: value for field, value in rules.ListFields()})


def parse_key_rules(rules: key_admin_service_pb2.KeyRules) -> KeyRules:
    """Returns how a key may be used. Profiles have no order, and duplicates are dropped."""
    given = {field.name: value for field, value in rules.ListFields()}
    if rules.kind:
        given["kind"] = text_of(KeyKind.DESCRIPTOR, rules.kind)
    return KeyRules(**{**given, "moderation_profiles": tuple(sorted(set(rules.moderation_profiles)))})


def parse_call_report(report: limit_service_pb2.CallReport) -> CallReport:
    """Returns what a process did with its lease of a key. Refuses with INVALID_FIELD."""
    if len(report.used.at_us) != len(report.used.counts):
        raise invalid_field("used", "must have as many moments as counts")
    return CallReport(
        key_id=report.key_id,
        answered_turn=report.answered_turn,
        used=moments_of(zip(report.used.at_us, report.used.counts, strict=True)),
        kept_count=report.kept_count,
        wanted_count=report.wanted_count,
        takes_share=report.takes_share,
    )


def parse_statement_range(request: account_service_pb2.GetStatementRequest) -> StatementRange:
    """Returns the requested range of movements, with every default resolved. Refuses with INVALID_FIELD."""
    start = parse_moment("start", request.start) if request.HasField("start") else FIRST_MOMENT
    end = parse_moment("end", request.end) if request.HasField("end") else LAST_MOMENT
    if start > end:
        raise invalid_field("start", f"must not be after the end of the range, {rfc3339(end)}", request.start)
    return StatementRange(
        account_id=request.account_id,
        environment=environment_of(request.environment),
        start=start,
        end=end,
        after_version=number_in(request.page_token) or 0,
        lines_max=page_size(request.page_size),
    )


def render_hold(hold: Hold) -> hold_pb2.Hold:
    """Returns a hold as other services see it."""
    return hold_pb2.Hold(
        hold_id=hold.hold_id,
        account_id=hold.account_id,
        environment=hold.environment,
        amount_micros=hold.amount_micros,
        captured_micros=hold.captured_micros,
        state=_STATE_ON_WIRE[hold.state],
        refunded_micros=hold.refunded_micros,
        created_at_millis=int(hold.created_at.timestamp() * 1000),
    )


def render_balance(balance: Balance) -> balance_pb2.Balance:
    """Returns a balance in credits, as customers read it."""
    return balance_pb2.Balance(
        available=balance.available_micros / MICROS_PER_CREDIT, held=balance.held_micros / MICROS_PER_CREDIT
    )


def render_account(account: Account) -> account_pb2.Account:
    """Returns an account as operators see it."""
    return account_pb2.Account(
        account_id=account.account_id,
        name=account.name,
        contract=account.contract,
        created_at=rfc3339(account.created_at),
        suspended_at=_moment(account.suspended_at),
        funds=map(_funds, account.funds),
        rules=render_account_rules(account.rules),
    )


def render_account_rules(rules: AccountRules) -> account_pb2.AccountRules:
    """Returns how an account may be used; what has the default is absent."""
    return account_pb2.AccountRules(
        jobs_at_once=rules.jobs_at_once, moderation_profile=rules.moderation_profile or None
    )


def render_spending(spending: Spending) -> account_pb2.Spending:
    """Returns limits and what counts against them."""
    return account_pb2.Spending(
        limits=account_pb2.SpendLimits(**vars(spending.limits)),
        day_micros=spending.day_micros,
        month_micros=spending.month_micros,
    )


def render_statement_line(line: StatementLine) -> statement_pb2.StatementLine:
    """Returns a movement of a balance."""
    return statement_pb2.StatementLine(
        **{
            **vars(line),
            "occurred_at": rfc3339(line.occurred_at),
            "kind": value_of(statement_pb2.MovementKind.DESCRIPTOR, line.kind),
        }
    )


def render_key(key: Key) -> key_admin_service_pb2.Key:
    """Returns a key as operators see it."""
    return key_admin_service_pb2.Key(
        key_id=key.key_id,
        account_id=key.account_id,
        environment=environment_value(key.environment),
        hint=key.hint,
        models=key.models,
        spending=render_spending(key.spending),
        created_at=rfc3339(key.created_at),
        disabled_at=_moment(key.disabled_at),
        previous_until=_moment(key.previous_until),
        rules=key_admin_service_pb2.KeyRules(
            **{**vars(key.rules), "kind": value_of(KeyKind.DESCRIPTOR, key.rules.kind)}
        ),
    )


def render_caller(caller: Caller) -> key_service_pb2.LookUpKeyResponse:
    """Returns the owner of a key."""
    stated = {each.name: getattr(caller, each.name) for each in fields(caller) if each.init}
    return key_service_pb2.LookUpKeyResponse(**stated)


def render_leased(leased: Leased) -> limit_service_pb2.LeaseCallsResponse:
    """Returns what is leased."""
    return limit_service_pb2.LeaseCallsResponse(
        now_us=leased.now_us,
        leases=[
            limit_service_pb2.CallLease(**{**vars(lease), "key_id": key_id, "slots": _moments(lease.slots)})
            for key_id, lease in leased.leases.items()
        ],
    )


def render_price_version(version: PriceVersion) -> price_pb2.PriceVersion:
    """Returns a version of prices as other services and operators see it."""
    return price_pb2.PriceVersion(
        version=version.version,
        valid_from_millis=(version.valid_from - _EPOCH) // timedelta(milliseconds=1),
        prices=[price_pb2.Price(**vars(price)) for price in version.prices],
    )


def render_verified(verified: Verified) -> verifier_service_pb2.VerifyResponse:
    """Returns the findings of one page of the ledger, and where the next begins."""
    return verifier_service_pb2.VerifyResponse(
        findings=[verifier_service_pb2.Finding(**vars(found)) for found in verified.findings],
        checked_count=verified.checked_count,
        next_page_token=verified.next_page_token or "",
    )


def _funds(funds: Funds) -> account_pb2.AccountFunds:
    return account_pb2.AccountFunds(
        environment=environment_value(funds.environment),
        available_micros=funds.balance.available_micros,
        held_micros=funds.balance.held_micros,
        spending=render_spending(funds.spending),
    )


def _moments(moments: Moments) -> limit_service_pb2.Moments:
    return limit_service_pb2.Moments(
        at_us=[moment for moment, _ in moments], counts=[count for _, count in moments]
    )


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
