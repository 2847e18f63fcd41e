"""What an account and its keys may spend: per job, per UTC day, per UTC month."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from reelgate.internal.ledger.v1 import hold_pb2

from services.common.errors import Reason, ServiceError
from tests.conftest import MakeDatabase
from tests.integration.billing.books import broken_rules
from tests.integration.billing.running import CREDIT, Billing, running_billing

HOLDS_AT_ONCE = 200
ANOTHER_DAY_OF_THE_MONTH = "date_trunc('month', {0})::date + extract(day FROM {0})::int %% 28"


async def _account_and_key(billing: Billing, *, credits_live: int = 1000) -> tuple[str, str]:
    account = await billing.account(credits_live=credits_live)
    return account, (await billing.new_key(account)).key.key_id


async def _limit(billing: Billing, subject_id: str, period: str, credits_max: int) -> None:
    await billing.rows(
        f"UPDATE spending SET per_{period}_micros = %s WHERE subject_id = %s AND environment = 'live'",
        credits_max * CREDIT,
        subject_id,
    )


async def _spent(billing: Billing, subject_id: str, environment: str = "live") -> tuple[int, int]:
    [row] = await billing.rows(
        "SELECT day_micros / 1000000 AS day, month_micros / 1000000 AS month FROM spending"
        " WHERE subject_id = %s AND environment = %s",
        subject_id,
        environment,
    )
    return row["day"], row["month"]


async def _refusal(call: Awaitable[object]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("subject", ["account", "key"])
@pytest.mark.parametrize(
    ("period", "rule", "left"),
    [
        ("job", "may spend at most 5 on one task", 5),
        ("day", "may spend in a UTC day, 4 are left", 4),
        ("month", "may spend in a UTC month, 4 are left", 4),
    ],
)
async def test_a_hold_above_a_limit_is_refused_and_says_how_much_is_left_to_spend(
    billing: Billing, subject: str, period: str, rule: str, left: int
) -> None:
    account, key = await _account_and_key(billing)
    subject_id = account if subject == "account" else key
    await _limit(billing, subject_id, period, 5)
    await billing.hold("job_1", account, CREDIT, key_id=key)
    before = await billing.everything()

    refused = await _refusal(billing.hold("job_2", account, left * CREDIT + 1, key_id=key))

    bound = "" if period == "job" else "of the 5 that "
    assert refused.message == f"This task needs {left}.000001 credits; {bound}this {subject} {rule}."
    assert refused.reason is Reason.SPEND_LIMIT_EXCEEDED
    assert refused.metadata == {
        "subject_id": subject_id,
        "period": period,
        "limit_micros": str(5 * CREDIT),
        "spent_micros": "0" if period == "job" else str(CREDIT),
        "needed_micros": str(left * CREDIT + 1),
    }
    assert await billing.everything() == before
    await billing.hold("job_2", account, left * CREDIT, key_id=key)


async def test_a_limit_of_nothing_allows_nothing(billing: Billing) -> None:
    account, key = await _account_and_key(billing)
    await _limit(billing, key, "month", 0)

    refused = await _refusal(billing.hold("job_1", account, 1, key_id=key))

    assert refused.message.endswith("of the 0 that this key may spend in a UTC month, 0 are left.")
    await billing.hold("job_2", account, CREDIT)


async def test_a_limit_lowered_below_what_was_spent_leaves_nothing(billing: Billing) -> None:
    account, _ = await _account_and_key(billing)
    await billing.hold("job_1", account, 3 * CREDIT)
    await _limit(billing, account, "day", 2)

    refused = await _refusal(billing.hold("job_2", account, CREDIT))

    assert refused.message.endswith("of the 2 that this account may spend in a UTC day, 0 are left.")
    assert refused.metadata["spent_micros"] == str(3 * CREDIT)


async def test_a_hold_counts_to_its_account_and_its_key_and_to_nobody_else(billing: Billing) -> None:
    account, key = await _account_and_key(billing)
    other_key = (await billing.new_key(account)).key.key_id
    other_account = await billing.account()

    await billing.hold("job_1", account, 3 * CREDIT, key_id=key)
    await billing.hold("job_2", account, 2 * CREDIT)

    assert await _spent(billing, account) == (5, 5)
    assert await _spent(billing, key) == (3, 3)
    for untouched in (other_key, other_account):
        assert await _spent(billing, untouched) == (0, 0)
    assert await _spent(billing, account, "test") == (0, 0)


Act = Callable[[Billing], Awaitable[object]]
ENDS: dict[str, tuple[Act, int]] = {
    "release": (lambda billing: billing.release("job_1"), 0),
    "capture of a part": (lambda billing: billing.capture("job_1", 4 * CREDIT), 4),
    "capture of nothing": (lambda billing: billing.capture("job_1", 0), 0),
    "capture of all": (lambda billing: billing.capture("job_1", 10 * CREDIT), 10),
    "expiry": (lambda billing: billing.sweep(), 0),
}


@pytest.mark.parametrize("end", ENDS)
async def test_what_is_not_taken_is_given_back_to_what_may_be_spent_once(billing: Billing, end: str) -> None:
    account, key = await _account_and_key(billing)
    for subject_id in (account, key):
        await _limit(billing, subject_id, "day", 10)
    await billing.hold("job_1", account, 10 * CREDIT, key_id=key)
    if end == "expiry":
        await billing.let_time_run_out("job_1")
    act, taken = ENDS[end]

    for _ in range(2):
        await act(billing)

    assert await _spent(billing, account) == await _spent(billing, key) == (taken, taken)
    if taken < 10:
        await billing.hold("job_2", account, (10 - taken) * CREDIT, key_id=key)
    refused = await _refusal(billing.hold("job_3", account, 1, key_id=key))
    assert refused.reason is Reason.SPEND_LIMIT_EXCEEDED
    assert broken_rules(billing.database_url) == {}


async def test_a_refund_does_not_change_what_was_spent(billing: Billing) -> None:
    account, _ = await _account_and_key(billing)
    await billing.hold("job_1", account, 10 * CREDIT)
    await billing.capture("job_1", 10 * CREDIT)

    await billing.refund("refund_1", "job_1", 10 * CREDIT)

    assert await _spent(billing, account) == (10, 10)


async def test_a_hold_repeated_counts_once_and_is_answered_even_at_the_limit(billing: Billing) -> None:
    account, key = await _account_and_key(billing)
    await _limit(billing, key, "day", 10)
    first = await billing.hold("job_1", account, 10 * CREDIT, key_id=key)

    again = await asyncio.gather(
        *(billing.hold("job_1", account, 10 * CREDIT, key_id=key) for _ in range(20))
    )

    assert all(hold == first for hold in again)
    assert await _spent(billing, key) == (10, 10)


async def test_a_new_day_has_its_own_credits_and_old_ones_go_back_to_the_month_only(billing: Billing) -> None:
    account, key = await _account_and_key(billing)
    for subject_id in (account, key):
        await _limit(billing, subject_id, "day", 10)
    await billing.hold("job_1", account, 10 * CREDIT, key_id=key)
    await billing.rows(
        f"UPDATE spending SET day = {ANOTHER_DAY_OF_THE_MONTH.format('day')} WHERE day <> 'epoch'"
    )
    await billing.rows(f"UPDATE holds SET spent_on = {ANOTHER_DAY_OF_THE_MONTH.format('spent_on')}")

    await billing.hold("job_2", account, 9 * CREDIT, key_id=key)
    spent = await _spent(billing, account), await _spent(billing, key)
    await billing.release("job_1")

    assert spent == ((9, 19), (9, 19))
    assert await _spent(billing, account) == await _spent(billing, key) == (9, 9)


async def test_a_new_month_has_its_own_credits_and_old_ones_do_not_come_back_to_it(billing: Billing) -> None:
    account, key = await _account_and_key(billing)
    for subject_id in (account, key):
        await _limit(billing, subject_id, "month", 10)
    await billing.hold("job_1", account, 10 * CREDIT, key_id=key)
    await billing.rows(
        "UPDATE spending SET day = day - interval '1 month', month = month - interval '1 month'"
        " WHERE day <> 'epoch'"
    )
    await billing.rows("UPDATE holds SET spent_on = spent_on - interval '1 month'")

    await billing.hold("job_2", account, 9 * CREDIT, key_id=key)
    await billing.release("job_1")

    assert await _spent(billing, account) == await _spent(billing, key) == (9, 9)


async def test_a_hold_given_back_in_a_later_period_without_new_holds_leaves_the_new_period_empty(
    billing: Billing,
) -> None:
    account, _ = await _account_and_key(billing)
    await _limit(billing, account, "day", 10)
    await billing.hold("job_1", account, 10 * CREDIT)
    await billing.rows(
        "UPDATE spending SET day = day - interval '1 month', month = month - interval '1 month'"
        " WHERE day <> 'epoch'"
    )
    await billing.rows("UPDATE holds SET spent_on = spent_on - interval '1 month'")

    await billing.capture("job_1", 4 * CREDIT)
    await billing.hold("job_2", account, 10 * CREDIT)

    assert await _spent(billing, account) == (10, 10)


async def test_a_key_that_is_not_the_accounts_is_refused(billing: Billing) -> None:
    account, _ = await _account_and_key(billing)
    _, anothers_key = await _account_and_key(billing)
    test_key = (await billing.new_key(account, "test")).key.key_id
    before = await billing.everything()

    for key in ("key_unknown", anothers_key, test_key):
        refused = await _refusal(billing.hold("job_1", account, CREDIT, key_id=key))

        assert refused.reason is Reason.KEY_NOT_FOUND
        assert refused.message == f"Account {account} has no key {key} in live."
        assert refused.metadata == {"key_id": key}
    assert await billing.everything() == before


@pytest.mark.parametrize(
    ("account_limit", "key_limits", "accepted"),
    [(37, (30, 30), None), (100, (25, 20), (25, 20)), (45, (25, 20), (25, 20))],
)
async def test_of_200_holds_by_two_keys_over_two_replicas_exactly_what_the_limits_allow_is_accepted(
    make_database: MakeDatabase,
    account_limit: int,
    key_limits: tuple[int, int],
    accepted: tuple[int, int] | None,
) -> None:
    url = make_database("billing")
    async with running_billing(url) as one, running_billing(url) as other:
        account, first_key = await _account_and_key(one)
        keys = (first_key, (await one.new_key(account)).key.key_id)
        await _limit(one, account, "day", account_limit)
        for key, most in zip(keys, key_limits, strict=True):
            await _limit(one, key, "day", most)

        answers = await asyncio.gather(
            *(
                (one, other)[number // 2 % 2].hold(f"job_{number}", account, CREDIT, key_id=keys[number % 2])
                for number in range(HOLDS_AT_ONCE)
            ),
            return_exceptions=True,
        )

        held = [sum(isinstance(answer, hold_pb2.Hold) for answer in answers[side::2]) for side in (0, 1)]
        assert sum(held) == min(account_limit, sum(key_limits))
        assert all(count <= most for count, most in zip(held, key_limits, strict=True))
        assert accepted is None or held == list(accepted)
        refused = {answer.reason for answer in answers if isinstance(answer, ServiceError)}
        assert refused == {Reason.SPEND_LIMIT_EXCEEDED}
        assert [(await _spent(one, key))[0] for key in keys] == held
        assert await _spent(other, account) == (sum(held), sum(held))
        assert await one.balance(account) == ((1000 - sum(held)) * CREDIT, sum(held) * CREDIT)
        assert broken_rules(url) == {}


async def test_limits_hold_while_credits_are_given_back(make_database: MakeDatabase) -> None:
    url = make_database("billing")
    async with running_billing(url) as one, running_billing(url) as other:
        account, key = await _account_and_key(one)
        await _limit(one, key, "day", 10)

        async def hold_and_release(number: int) -> int:
            side = (one, other)[number % 2]
            try:
                await side.hold(f"job_{number}", account, CREDIT, key_id=key)
            except ServiceError as error:
                if error.reason is not Reason.SPEND_LIMIT_EXCEEDED:
                    raise
                return 0
            await side.release(f"job_{number}")
            return 1

        held = await asyncio.gather(*(hold_and_release(number) for number in range(HOLDS_AT_ONCE)))

        assert sum(held) >= 10
        [most] = await one.rows("SELECT max(balance_micros) AS held FROM entries WHERE bucket = 'held'")
        assert most["held"] <= 10 * CREDIT
        assert await _spent(one, key) == await _spent(one, account) == (0, 0)
        assert await one.balance(account) == (1000 * CREDIT, 0)
