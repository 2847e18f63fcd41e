"""What nobody pays for is limited by the day, unless an operator said otherwise."""

import pytest
from reelgate.admin.v1 import account_pb2, account_service_pb2

from services.billing.domain import STANDING_TEST_MICROS, TEST_DAY_MICROS
from services.common.errors import Reason, ServiceError
from services.common.rpc.enums import environment_value
from tests.integration.billing.running import NOTE, Billing


async def _spend(billing: Billing, account: str, *, contract: str, balances: int) -> None:
    for number in range(balances):
        await billing.hold(f"{account}_{number}", account, STANDING_TEST_MICROS[contract], environment="test")


async def _limit(billing: Billing, account: str, per_day_micros: int | None) -> None:
    await billing.accounts.SetAccountLimits(
        account_service_pb2.SetAccountLimitsRequest(
            account_id=account,
            environment=environment_value("test"),
            limits=account_pb2.SpendLimits(per_day_micros=per_day_micros),
            audit=NOTE,
        )
    )


@pytest.mark.parametrize("contract", ["seedancee2", "nextapi"])
async def test_a_new_account_may_spend_ten_standing_balances_a_day(billing: Billing, contract: str) -> None:
    account = await billing.account(contract=contract)
    await _spend(billing, account, contract=contract, balances=10)

    with pytest.raises(ServiceError) as refused:
        await billing.hold("one_more", account, 1, environment="test")

    assert refused.value.reason is Reason.SPEND_LIMIT_EXCEEDED
    assert refused.value.status.http == 402
    assert refused.value.metadata["period"] == "day"


@pytest.mark.parametrize("per_day_micros", [None, 20 * STANDING_TEST_MICROS["seedancee2"]])
async def test_an_operator_may_allow_more(billing: Billing, per_day_micros: int | None) -> None:
    account = await billing.account()
    await _limit(billing, account, per_day_micros)

    await _spend(billing, account, contract="seedancee2", balances=11)


async def test_live_has_no_limit_of_its_own(billing: Billing) -> None:
    micros = TEST_DAY_MICROS["seedancee2"] + 1
    account = await billing.account()
    await billing.grant(account, micros)

    await billing.hold("job_1", account, micros)
