import pytest

from services.common.backoff import backoff_seconds


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (10**9, 60)])
def test_waits_double_up_to_the_longest(attempt: int, seconds: float) -> None:
    assert backoff_seconds(attempt, first=1, most=60, jitter=0) == seconds


def test_waits_are_spread_within_their_bounds() -> None:
    waits = [backoff_seconds(3, first=1, most=60, jitter=0.2) for _ in range(200)]

    assert min(waits) >= 3.2
    assert max(waits) <= 4.8
    assert max(waits) - min(waits) > 0.4
