import json

import pytest
from reelgate.admin.v1 import account_pb2, key_admin_service_pb2

from services.cli.printing import fields_of, print_json


def test_what_is_absent_on_the_wire_is_none_and_zero_is_not() -> None:
    message = account_pb2.SpendLimits(per_day_micros=0)

    limits = fields_of(message)

    assert limits == {"per_job_micros": None, "per_day_micros": 0, "per_month_micros": None}
    assert account_pb2.SpendLimits(**limits) == message


def test_a_message_is_printed_whole_with_its_lists_and_what_it_contains(
    capsys: pytest.CaptureFixture[str],
) -> None:
    key = key_admin_service_pb2.Key(key_id="key_1", models=["mini"])
    key.spending.day_micros = 2**60

    print_json([key])

    [shown] = json.loads(capsys.readouterr().out)
    assert shown["models"] == ["mini"]
    assert shown["disabled_at"] is None
    assert shown["rules"] == {
        "kind": None,
        "calls_per_minute": None,
        "jobs_at_once": None,
        "moderation_profiles": [],
    }
    assert shown["spending"] == {
        "limits": {"per_job_micros": None, "per_day_micros": None, "per_month_micros": None},
        "day_micros": 2**60,
        "month_micros": 0,
    }
