"""A balance that does not agree with its entries shows as drift, by as many credits as it is off."""

from functools import partial

from services.billing.operations.verify_ledger import AMOUNT_RULES, CHECKS, verify_ledger
from services.billing.store.verification import SqlLedgerPages
from services.common.postgres.database import open_pool
from services.common.verification.checks import Rounds
from tests.integration.billing.running import CREDIT, Billing
from tests.metric_values import value

DRIFT = "reelgate_ledger_drift_credits"


async def _round(rounds: Rounds) -> None:
    for _ in CHECKS:
        await rounds.run_once()


async def test_drift_is_told_until_a_round_finds_none(billing: Billing) -> None:
    account = await billing.account(credits_live=100)
    async with open_pool(billing.database_url, name="verify", connections_max=1) as pool:
        verify = partial(verify_ledger, pages=SqlLedgerPages(pool))
        rounds = Rounds(verify, checks=CHECKS, amounts=AMOUNT_RULES)
        await _round(rounds)
        assert value(DRIFT) == 0

        change = "UPDATE balances SET available_micros = available_micros + %s WHERE account_id = %s AND environment = 'live'"
        await billing.rows(change, 3 * CREDIT, account)
        await _round(rounds)
        assert value(DRIFT) == 3
        assert value("reelgate_verifier_findings", check="balances") == 1

        await billing.rows(change, -3 * CREDIT, account)
        await _round(rounds)
        assert value(DRIFT) == 0
