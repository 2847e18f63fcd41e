"""Each decision about a call is counted once."""

from typing import Any, cast

import pytest

from services.common.auth.authentication import Caller
from services.common.errors import ServiceError
from services.common.rate_limit import limiter as limiting
from services.common.rate_limit.limiter import Decision, Limiter, limited
from tests.metric_values import value

METHOD = "/reelgate.models.v1.ModelService/ListModels"


class Deciding:
    """Decides as the test says."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision

    async def admit(self, who: Caller, *, may_fail_open: bool) -> Decision:
        return self._decision


def _counts() -> dict[str, float]:
    return {
        decision: value("reelgate_rate_limit_decisions_total", decision=decision)
        for decision in ("allowed", "limited", "unknown")
    }


@pytest.mark.parametrize(
    ("name", "allowed", "is_known"),
    [("allowed", True, True), ("limited", False, True), ("unknown", False, False)],
)
async def test_each_decision_is_counted_under_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, *, allowed: bool, is_known: bool
) -> None:
    decision = Decision(allowed=allowed, limit=1, remaining=0, reset_seconds=1, is_known=is_known)
    monkeypatch.setattr(limiting, "caller", lambda: cast("Caller", type("Caller", (), {"kind": "business"})))
    monkeypatch.setattr(limiting, "answer_header", lambda _name, _value: None)

    async def inside(_request: Any, _context: Any) -> str:
        return "answer"

    access = {"reelgate.models.v1.ModelService": frozenset({"seedancee2"})}
    monkeypatch.setattr(limiting, "_has_no_side_effects", lambda _method: True)
    call = limited(cast("Limiter", Deciding(decision)), access)(METHOD, inside)
    before = _counts()

    try:
        assert await call(None, cast("Any", None)) == "answer"
    except ServiceError:
        assert not allowed

    assert _counts() == {each: count + (each == name) for each, count in before.items()}
