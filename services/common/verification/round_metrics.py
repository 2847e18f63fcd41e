"""What the rounds of the verifier have found, for those who watch over the ledger."""

import re
from collections import Counter
from collections.abc import Collection, Sequence

from services.common.money import MICROS_PER_CREDIT
from services.common.telemetry.metrics import BILLING, JOBS_WORKER, gauge

_FINDINGS = gauge(
    "reelgate_verifier_findings",
    "Rows that did not agree, by check: in the last full round or in the present one, whichever has more.",
    labels=("check",),
    of=(BILLING, JOBS_WORKER),
)
_DRIFT = gauge(
    "reelgate_ledger_drift_credits",
    "By how many credits amounts differ that must be equal: in the last full round or in the present one,"
    " whichever has more.",
    of=(BILLING, JOBS_WORKER),
)
_AMOUNTS = re.compile(r"expected (-?\d+), found (-?\d+)")


class RoundMetrics:
    """Counts findings by the round, so that a finding shows at once and goes with the first round that has none."""

    def __init__(self, checks: Sequence[str], *, amounts: Collection[str]) -> None:
        """`checks` are in their order. `amounts` are the rules whose findings compare micro-credits."""
        self._gauges = {check: _FINDINGS.labels(check) for check in checks}
        self._amounts = frozenset(amounts)
        self._present: Counter[str] = Counter()
        self._last: Counter[str] = Counter()
        self._present_micros = self._last_micros = 0
        self._show()

    def found(self, check: str, findings: Sequence[tuple[str, str]]) -> None:
        """Counts the findings of a page, each by its rule and detail."""
        self._present[check] += len(findings)
        for rule, detail in findings:
            if rule in self._amounts and (amounts := _AMOUNTS.fullmatch(detail)):
                self._present_micros += abs(int(amounts[1]) - int(amounts[2]))
        self._show()

    def end_round(self) -> None:
        """Lets the next round count anew."""
        self._last, self._present = self._present, Counter()
        self._last_micros, self._present_micros = self._present_micros, 0
        self._show()

    def _show(self) -> None:
        for check, shown in self._gauges.items():
            shown.set(max(self._last[check], self._present[check]))
        _DRIFT.set(max(self._last_micros, self._present_micros) / MICROS_PER_CREDIT)
