from datetime import UTC, datetime

import pytest
from reelgate.admin.v1 import account_pb2, account_service_pb2, key_admin_service_pb2
from reelgate.internal.ledger.v1 import hold_pb2

from services.billing.convert import (
    parse_account_rules,
    parse_key_rules,
    parse_limits,
    parse_statement_range,
    render_account_rules,
    render_balance,
    render_caller,
    render_hold,
    render_key,
    render_spending,
)
from services.billing.domain import (
    AccountRules,
    Balance,
    Hold,
    HoldState,
    Key,
    KeyRules,
    Spending,
    SpendLimits,
    StatementRange,
)
from services.common.auth.authentication import Caller
from services.common.rpc.enums import environment_value

CREATED_AT = datetime(2026, 6, 29, 10, 0, 0, 1999, UTC)
SPENDING = Spending(limits=SpendLimits(per_day_micros=0), day_micros=1, month_micros=2)


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
        refunded_micros=0,
        state=state,
        created_at=CREATED_AT,
    )

    shown = render_hold(hold)

    assert hold_pb2.Hold.State.Name(shown.state) == f"STATE_{state.name}"


def _key(**moments: datetime) -> Key:
    return Key(
        key_id="key_1",
        account_id="acct_1",
        environment="live",
        hint="…abcd",
        models=("pro",),
        rules=KeyRules(calls_per_minute=7),
        spending=SPENDING,
        created_at=CREATED_AT,
        disabled_at=moments.get("disabled_at"),
        previous_until=moments.get("previous_until"),
    )


def test_a_working_key_is_shown_without_the_moments_of_what_did_not_happen() -> None:
    shown = render_key(_key())

    assert shown.created_at == "2026-06-29T10:00:00.001Z"
    assert not shown.HasField("disabled_at")
    assert not shown.HasField("previous_until")


@pytest.mark.parametrize("moment", ["disabled_at", "previous_until"])
def test_a_moment_of_a_key_is_shown_under_its_name(moment: str) -> None:
    shown = render_key(_key(**{moment: CREATED_AT}))

    assert getattr(shown, moment) == "2026-06-29T10:00:00.001Z"


def test_rules_of_a_key_are_shown_as_they_were_set_and_profiles_in_one_order() -> None:
    given = key_admin_service_pb2.KeyRules(
        kind=key_admin_service_pb2.KEY_KIND_ADMIN, jobs_at_once=3, moderation_profiles=["b", "a", "b"]
    )

    parsed = parse_key_rules(given)
    shown = render_key(_key()).rules

    assert parsed == KeyRules(kind="admin", jobs_at_once=3, moderation_profiles=("a", "b"))
    assert parse_key_rules(key_admin_service_pb2.KeyRules()) == KeyRules(kind="business")
    assert shown == key_admin_service_pb2.KeyRules(
        kind=key_admin_service_pb2.KEY_KIND_BUSINESS, calls_per_minute=7
    )


def test_rules_of_an_account_that_have_the_default_are_absent() -> None:
    empty = account_pb2.AccountRules()
    full = account_pb2.AccountRules(jobs_at_once=3, moderation_profile="strict")

    assert parse_account_rules(empty) == AccountRules()
    assert render_account_rules(AccountRules()) == empty
    assert render_account_rules(parse_account_rules(full)) == full


def test_a_limit_of_nothing_is_shown_and_one_that_is_not_set_is_absent() -> None:
    shown = render_spending(SPENDING)

    assert shown.limits.HasField("per_day_micros")
    assert not shown.limits.HasField("per_job_micros")
    assert parse_limits(shown.limits) == SPENDING.limits
    assert (shown.day_micros, shown.month_micros) == (1, 2)


def test_a_statement_is_by_default_of_everything() -> None:
    wanted = parse_statement_range(
        account_service_pb2.GetStatementRequest(account_id="acct_1", environment=environment_value("live"))
    )

    assert wanted == StatementRange(
        account_id="acct_1",
        environment="live",
        start=datetime(1970, 1, 1, tzinfo=UTC),
        end=datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
        after_version=0,
        lines_max=100,
    )


def test_the_owner_of_a_key_is_told_without_what_a_process_made_of_it() -> None:
    caller = Caller(
        key_id="key_1", account_id="acct_1", environment="live", contract="seedancee2", models=("mini",)
    )
    caller.views["view"] = object()

    told = render_caller(caller)

    assert (told.key_id, told.account_id, list(told.models)) == ("key_1", "acct_1", ["mini"])
