"""Every operation of the ledger, in the right order and in every wrong one."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from reelgate.internal.ledger.v1 import hold_pb2

from services.billing.duties.expire_holds import HOLDS_PER_RUN_MAX
from services.common.errors import Reason, ServiceError
from tests.integration.billing.running import CREDIT, Billing

Act = Callable[[Billing, str], Awaitable[object]]


async def _refusal(call: Awaitable[object]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await call
    return caught.value


async def test_a_hold_sets_credits_aside_provisionally(billing: Billing) -> None:
    account = await billing.account(credits_live=100)

    hold = await billing.hold("job_1", account, 40 * CREDIT)

    [row] = await billing.rows("SELECT floor(extract(epoch FROM created_at) * 1000) AS millis FROM holds")
    assert hold == hold_pb2.Hold(
        hold_id="job_1",
        account_id=account,
        environment="live",
        amount_micros=40 * CREDIT,
        captured_micros=0,
        state=hold_pb2.Hold.STATE_PROVISIONAL,
        refunded_micros=0,
        created_at_millis=int(row["millis"]),
    )
    assert await billing.balance(account) == (60 * CREDIT, 40 * CREDIT)


async def test_a_hold_lasts_thirty_days_from_its_creation(billing: Billing) -> None:
    account = await billing.account(credits_live=1)
    await billing.hold("job_1", account, CREDIT)

    [row] = await billing.rows("SELECT expires_at - created_at AS life FROM holds")

    assert row["life"].total_seconds() == pytest.approx(30 * 86_400, abs=0.1)


async def test_a_confirmed_hold_lasts_as_long_as_asked_and_longer_when_asked_again(billing: Billing) -> None:
    account = await billing.account(credits_live=1)
    await billing.hold("job_1", account, CREDIT)
    await billing.rows("UPDATE holds SET expires_at = clock_timestamp() + interval '10 minutes'")

    lasts = []
    for lasts_seconds in (60, 3600, 1800, 7200):
        await billing.confirm("job_1", lasts_seconds=lasts_seconds)
        [row] = await billing.rows("SELECT expires_at - clock_timestamp() AS left FROM holds")
        lasts.append(row["left"].total_seconds())

    assert lasts == [pytest.approx(seconds, abs=30) for seconds in (600, 3600, 3600, 7200)]


async def test_capturing_takes_a_part_and_gives_the_rest_back(billing: Billing) -> None:
    account = await billing.account(credits_live=100)
    await billing.hold("job_1", account, 40 * CREDIT)
    await billing.confirm("job_1")

    hold = await billing.capture("job_1", 30 * CREDIT)

    assert hold.state == hold_pb2.Hold.STATE_CAPTURED
    assert hold.captured_micros == 30 * CREDIT
    assert await billing.balance(account) == (70 * CREDIT, 0)
    entries = await billing.rows(
        "SELECT bucket, amount_micros, balance_micros FROM entries JOIN transactions USING (transaction_id)"
        " WHERE kind = 'capture' ORDER BY bucket"
    )
    assert [tuple(entry.values()) for entry in entries] == [
        ("available", 10 * CREDIT, 70 * CREDIT),
        ("held", -40 * CREDIT, 0),
        ("revenue", 30 * CREDIT, None),
    ]


async def test_capturing_a_provisional_hold_confirms_it_on_the_way(billing: Billing) -> None:
    account = await billing.account(credits_live=100)
    await billing.hold("job_1", account, 40 * CREDIT)

    hold = await billing.capture("job_1", 40 * CREDIT)

    assert hold.state == hold_pb2.Hold.STATE_CAPTURED
    assert await billing.balance(account) == (60 * CREDIT, 0)


async def test_capturing_nothing_gives_everything_back(billing: Billing) -> None:
    account = await billing.account(credits_live=100)
    await billing.hold("job_1", account, 40 * CREDIT)

    hold = await billing.capture("job_1", 0)

    assert hold.state == hold_pb2.Hold.STATE_CAPTURED
    assert await billing.balance(account) == (100 * CREDIT, 0)


async def test_releasing_gives_everything_back(billing: Billing) -> None:
    account = await billing.account(credits_live=100)
    await billing.hold("job_1", account, 40 * CREDIT)
    await billing.confirm("job_1")

    hold = await billing.release("job_1")

    assert hold.state == hold_pb2.Hold.STATE_RELEASED
    assert await billing.balance(account) == (100 * CREDIT, 0)


async def test_environments_have_separate_balances(billing: Billing) -> None:
    account = await billing.account()
    await billing.grant(account, 100 * CREDIT, environment="test")

    refused = await _refusal(billing.hold("job_1", account, CREDIT))

    assert refused.reason is Reason.CREDITS_INSUFFICIENT
    assert await billing.rows("SELECT available_micros FROM balances WHERE environment = 'test'") == [
        {"available_micros": 100 * CREDIT}
    ]


@pytest.mark.parametrize(
    ("has_micros", "needs_micros", "message"),
    [
        (12_000_000, 50_000_000, "This task needs 50 credits; 12 are available. Please top up."),
        (1_000_000, 1_050_000, "This task needs 1.05 credits; 1 is available. Please top up."),
        (999_999, 1_000_000, "This task needs 1 credit; 0.999999 are available. Please top up."),
    ],
)
async def test_a_hold_above_the_balance_says_what_is_needed_and_what_there_is(
    billing: Billing, has_micros: int, needs_micros: int, message: str
) -> None:
    account = await billing.account()
    await billing.grant(account, has_micros)

    refused = await _refusal(billing.hold("job_1", account, needs_micros))

    assert (refused.reason, refused.message) == (Reason.CREDITS_INSUFFICIENT, message)
    assert refused.metadata == {"needed_micros": str(needs_micros), "available_micros": str(has_micros)}
    assert await billing.rows("SELECT * FROM holds") == []


async def test_a_hold_refused_for_want_of_credits_succeeds_after_a_top_up(billing: Billing) -> None:
    account = await billing.account()
    await _refusal(billing.hold("job_1", account, CREDIT))
    await billing.grant(account, CREDIT)

    hold = await billing.hold("job_1", account, CREDIT)

    assert hold.state == hold_pb2.Hold.STATE_PROVISIONAL


async def test_a_hold_for_an_unknown_account_is_refused(billing: Billing) -> None:
    refused = await _refusal(billing.hold("job_1", "acct_nobody", CREDIT))

    assert refused.reason is Reason.ACCOUNT_NOT_FOUND


async def test_a_hold_repeated_is_the_same_hold_and_charged_once(billing: Billing) -> None:
    account = await billing.account(credits_live=100)
    first = await billing.hold("job_1", account, 60 * CREDIT)

    again = await billing.hold("job_1", account, 60 * CREDIT)

    assert again == first
    assert await billing.balance(account) == (40 * CREDIT, 60 * CREDIT)


async def test_a_hold_repeated_at_once_from_many_sides_is_charged_once(billing: Billing) -> None:
    account = await billing.account(credits_live=100)

    holds = await asyncio.gather(*(billing.hold("job_1", account, 60 * CREDIT) for _ in range(50)))

    assert all(hold == holds[0] for hold in holds)
    assert await billing.balance(account) == (40 * CREDIT, 60 * CREDIT)


@pytest.mark.parametrize("difference", ["account", "environment", "amount"])
async def test_a_hold_id_is_not_used_twice_for_different_things(billing: Billing, difference: str) -> None:
    account, other = await billing.account(credits_live=100), await billing.account(credits_live=100)
    await billing.grant(account, 100 * CREDIT, grant_id="for-tests", environment="test")
    await billing.hold("job_1", account, 10 * CREDIT)

    refused = await _refusal(
        billing.hold(
            "job_1",
            other if difference == "account" else account,
            11 * CREDIT if difference == "amount" else 10 * CREDIT,
            environment="test" if difference == "environment" else "live",
        )
    )

    assert refused.reason is Reason.HOLD_MISMATCH
    assert await billing.balance(account) == (90 * CREDIT, 10 * CREDIT)
    assert await billing.balance(other) == (100 * CREDIT, 0)


CHANGES: dict[str, Act] = {
    "confirm": lambda billing, hold_id: billing.confirm(hold_id),
    "capture": lambda billing, hold_id: billing.capture(hold_id, 30 * CREDIT),
    "capture other": lambda billing, hold_id: billing.capture(hold_id, 20 * CREDIT),
    "capture more": lambda billing, hold_id: billing.capture(hold_id, 41 * CREDIT),
    "release": lambda billing, hold_id: billing.release(hold_id),
    "run out": lambda billing, hold_id: billing.let_time_run_out(hold_id),
    "let a week pass": lambda billing, _: billing.rows(
        "UPDATE holds SET created_at = created_at - interval '7 d', expires_at = expires_at - interval '7 d'"
    ),
    "sweep": lambda billing, _: billing.sweep(),
}
REFUSED = [
    ((), "capture more", Reason.AMOUNT_ABOVE_HOLD),
    (("confirm",), "capture more", Reason.AMOUNT_ABOVE_HOLD),
    (("capture",), "confirm", Reason.HOLD_CAPTURED),
    (("capture",), "capture other", Reason.HOLD_MISMATCH),
    (("capture",), "release", Reason.HOLD_CAPTURED),
    (("release",), "confirm", Reason.HOLD_RELEASED),
    (("release",), "capture", Reason.HOLD_RELEASED),
    *(
        ((*before, "run out", *after), act, Reason.HOLD_EXPIRED)
        for before in ((), ("confirm",))
        for after in ((), ("sweep",))
        for act in ("confirm", "capture", "release")
    ),
]
ALLOWED = [("confirm", (60, 40)), ("capture", (70, 0)), ("release", (100, 0))]


async def test_each_wrong_order_has_its_own_error_and_changes_nothing(billing: Billing) -> None:
    account = await billing.account(credits_live=40 * len(REFUSED))
    for number, (before, act, reason) in enumerate(REFUSED):
        hold_id = f"job_{number}"
        await billing.hold(hold_id, account, 40 * CREDIT)
        for earlier in before:
            await CHANGES[earlier](billing, hold_id)
        balance = await billing.balance(account)

        refused = await _refusal(CHANGES[act](billing, hold_id))

        assert refused.reason is reason, (before, act)
        assert hold_id in refused.message
        assert refused.metadata["hold_id"] == hold_id
        assert await billing.balance(account) == balance


@pytest.mark.parametrize(("act", "credits_after"), ALLOWED)
async def test_a_change_repeated_answers_the_same_and_moves_nothing(
    billing: Billing, act: str, credits_after: tuple[int, int]
) -> None:
    account = await _account_with_a_hold_of_40_in_100(billing, ())
    first = await CHANGES[act](billing, "job_1")

    again = await CHANGES[act](billing, "job_1")

    assert again == first
    assert await billing.balance(account) == tuple(amount * CREDIT for amount in credits_after)


@pytest.mark.parametrize(("act", "credits_after"), ALLOWED)
async def test_a_hold_can_be_resolved_after_a_long_wait(
    billing: Billing, act: str, credits_after: tuple[int, int]
) -> None:
    account = await _account_with_a_hold_of_40_in_100(billing, ("let a week pass", "sweep"))

    await CHANGES[act](billing, "job_1")

    assert await billing.balance(account) == tuple(amount * CREDIT for amount in credits_after)


async def _account_with_a_hold_of_40_in_100(billing: Billing, acts: tuple[str, ...]) -> str:
    account = await billing.account(credits_live=100)
    await billing.hold("job_1", account, 40 * CREDIT)
    for act in acts:
        await CHANGES[act](billing, "job_1")
    return account


@pytest.mark.parametrize("act", ["confirm", "capture", "release"])
async def test_changing_a_hold_that_does_not_exist_is_refused(billing: Billing, act: str) -> None:
    refused = await _refusal(CHANGES[act](billing, "job_unknown"))

    assert refused.reason is Reason.HOLD_NOT_FOUND
    assert refused.message == "There is no hold job_unknown."


async def test_overdue_holds_are_expired_in_batches_and_others_are_left(billing: Billing) -> None:
    account = await billing.account(credits_live=1000)
    overdue_count = HOLDS_PER_RUN_MAX + 1
    ids = [f"job_{number}" for number in range(overdue_count + 2)]
    await asyncio.gather(*(billing.hold(hold_id, account, CREDIT) for hold_id in ids))
    await asyncio.gather(*(billing.confirm(hold_id) for hold_id in ids[::2]))
    await billing.rows("UPDATE holds SET expires_at = clock_timestamp() WHERE hold_id <> ALL(%s)", ids[:2])

    done = [await billing.sweep() for _ in range(3)]

    assert sum(done) <= overdue_count
    assert max(done) <= HOLDS_PER_RUN_MAX
    assert done[-1] == 0
    assert await billing.balance(account) == ((1000 - 2) * CREDIT, 2 * CREDIT)
    states = await billing.rows("SELECT state, count(*) FROM holds GROUP BY state ORDER BY state")
    assert [tuple(row.values()) for row in states] == [
        ("confirmed", 1),
        ("expired", overdue_count),
        ("provisional", 1),
    ]
