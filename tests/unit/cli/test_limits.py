import pytest
import typer
from reelgate.admin.v1.account_pb2 import SpendLimits

from services.cli.commands.limits import changed
from services.cli.options import SpendLimit, note, spend_limit

BEFORE = SpendLimits(per_job_micros=1, per_day_micros=2, per_month_micros=None)


def test_limits_that_are_not_named_stay() -> None:
    after = changed(BEFORE, per_job=None, per_day=SpendLimit(5), per_month=None)

    assert after == SpendLimits(per_job_micros=1, per_day_micros=5, per_month_micros=None)


def test_none_lifts_a_limit_and_zero_forbids_everything() -> None:
    after = changed(BEFORE, per_job=spend_limit("none"), per_day=spend_limit("0"), per_month=None)

    assert after == SpendLimits(per_job_micros=None, per_day_micros=0, per_month_micros=None)


@pytest.mark.parametrize("text", ["None", "", "-1", "much"])
def test_what_is_neither_an_amount_nor_none_is_no_limit(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        spend_limit(text)


def test_the_logged_in_user_is_the_actor_unless_another_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")

    assert note(None, "because").actor == "ann"
    assert note("ben", "because").actor == "ben"
