from reelgate.admin.v1 import account_pb2, key_admin_service_pb2

from services.cli.admin.records import Limits, NewKey
from services.cli.admin.wire import to_limits_message, to_record


def test_what_is_absent_on_the_wire_is_none_and_zero_is_not() -> None:
    message = account_pb2.SpendLimits(per_day_micros=0)

    limits = to_record(Limits, message)

    assert limits == Limits(per_job_micros=None, per_day_micros=0, per_month_micros=None)
    assert to_limits_message(limits) == message


def test_a_record_takes_what_differs_from_elsewhere() -> None:
    key = key_admin_service_pb2.Key(key_id="key_1", environment="live", created_at="now")

    assert to_record(NewKey, key, secret="s") == NewKey(
        key_id="key_1", environment="live", secret="s", created_at="now", previous_until=None
    )
