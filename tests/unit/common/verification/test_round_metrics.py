"""What the verifier finds shows at once, and is gone with the first round without it."""

from collections.abc import Sequence

from services.common.verification.checks import Finding, Rounds, Verified
from tests.metric_values import value

DRIFT = "reelgate_ledger_drift_credits"
OFF_BY_TWO = Finding(rule="balance", row="a", detail="expected 5000000, found 3000000")
OFF_BY_ONE = Finding(rule="balance", row="b", detail="expected 0, found 1000000")
A_GAP = Finding(rule="gap", row="c", detail="expected 7, found 9000000")
NONE = Finding(rule="balance", row="d", detail="expected 1, found no entries")


def _findings() -> tuple[float, float]:
    return value("reelgate_verifier_findings", check="first"), value(
        "reelgate_verifier_findings", check="second"
    )


async def test_findings_are_counted_by_check_and_amounts_by_their_difference() -> None:
    pages: list[Sequence[Finding]] = [[OFF_BY_TWO, A_GAP], [OFF_BY_ONE, NONE], [], [], [], []]

    async def verify(cursor: str | None) -> Verified:
        following = "second/x" if cursor is None else None
        return Verified(findings=pages.pop(0), checked_count=1, next_page_token=following)

    rounds = Rounds(verify, checks=["first", "second"], amounts={"balance"})
    assert (_findings(), value(DRIFT)) == ((0, 0), 0)

    await rounds.run_once()
    assert (_findings(), value(DRIFT)) == ((2, 0), 2)
    await rounds.run_once()
    assert (_findings(), value(DRIFT)) == ((2, 2), 3)
    await rounds.run_once()
    # The round before found it, and this one is not through yet.
    assert (_findings(), value(DRIFT)) == ((2, 2), 3)
    await rounds.run_once()
    assert (_findings(), value(DRIFT)) == ((0, 0), 0)
