from datetime import UTC, datetime

import pytest
from reelgate.internal.ledger.v1 import hold_pb2

from services.billing.convert import render_balance, render_hold, render_key
from services.billing.domain import Balance, Hold, HoldState, Key


def test_a_balance_is_shown_in_credits() -> None:
    shown = render_balance(Balance(available_micros=1_050_000, held_micros=100_000_000))

    assert (shown.available, shown.held) == (1.05, 100.0)


@pytest.mark.parametrize("state", HoldState)
def test_every_state_of_a_hold_has_its_name_on_the_wire(state: HoldState) -> None:
    hold = Hold(
        hold_id="job_1",
        account_id="acct_1",
        environment="live",
        amount_micros=2,
        captured_micros=1,
        state=state,
    )

    shown = render_hold(hold)

    assert hold_pb2.Hold.State.Name(shown.state) == f"STATE_{state.name}"


def test_a_working_key_is_shown_without_the_moment_it_was_disabled() -> None:
    created_at = datetime(2026, 6, 29, 10, 0, 0, 1999, UTC)
    key = Key(key_id="key_1", environment="live", hint="…abcd", created_at=created_at, disabled_at=None)

    shown = render_key(key)

    assert shown.created_at == "2026-06-29T10:00:00.001Z"
    assert not shown.HasField("disabled_at")
