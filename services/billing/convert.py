"""Wire messages to domain values and back."""

from reelgate.admin.v1 import account_service_pb2, key_admin_service_pb2
from reelgate.billing.v1 import balance_pb2
from reelgate.internal.keys.v1 import key_service_pb2
from reelgate.internal.ledger.v1 import hold_pb2, ledger_service_pb2

from services.billing.domain import (
    MICROS_PER_CREDIT,
    Balance,
    Grant,
    Hold,
    HoldState,
    Key,
    NewHold,
)
from services.common.authentication import Caller
from services.common.clock import rfc3339

_STATE_ON_WIRE = {
    HoldState.PROVISIONAL: hold_pb2.Hold.STATE_PROVISIONAL,
    HoldState.CONFIRMED: hold_pb2.Hold.STATE_CONFIRMED,
    HoldState.CAPTURED: hold_pb2.Hold.STATE_CAPTURED,
    HoldState.RELEASED: hold_pb2.Hold.STATE_RELEASED,
    HoldState.EXPIRED: hold_pb2.Hold.STATE_EXPIRED,
}
assert _STATE_ON_WIRE.keys() == set(HoldState)


def parse_new_hold(request: ledger_service_pb2.CreateHoldRequest) -> NewHold:
    """Returns the hold that is wished."""
    return NewHold(
        hold_id=request.hold_id,
        account_id=request.account_id,
        environment=request.environment,
        amount_micros=request.amount_micros,
    )


def parse_grant(request: account_service_pb2.GrantCreditsRequest) -> Grant:
    """Returns the grant that is wished."""
    return Grant(
        grant_id=request.grant_id,
        account_id=request.account_id,
        environment=request.environment,
        amount_micros=request.amount_micros,
        reason=request.reason,
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
    )


def render_balance(balance: Balance) -> balance_pb2.Balance:
    """Returns a balance in credits, as customers read it."""
    return balance_pb2.Balance(
        available=balance.available_micros / MICROS_PER_CREDIT, held=balance.held_micros / MICROS_PER_CREDIT
    )


def render_key(key: Key) -> key_admin_service_pb2.Key:
    """Returns a key as operators see it."""
    return key_admin_service_pb2.Key(
        key_id=key.key_id,
        environment=key.environment,
        hint=key.hint,
        created_at=rfc3339(key.created_at),
        disabled_at=None if key.disabled_at is None else rfc3339(key.disabled_at),
    )


def render_caller(caller: Caller) -> key_service_pb2.LookUpKeyResponse:
    """Returns whom a key belongs to."""
    return key_service_pb2.LookUpKeyResponse(
        key_id=caller.key_id,
        account_id=caller.account_id,
        environment=caller.environment,
        contract=caller.contract,
    )
