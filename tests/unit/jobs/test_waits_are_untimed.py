"""A poll that waits for its job says nothing about how fast we are; one that does not wait does."""

from contextvars import copy_context
from typing import Any, cast

import pytest
from grpc.aio import ServicerContext

from services.common.telemetry.rpc_metrics import is_untimed
from services.jobs.rpc.calls import seconds_to_wait


class Context:
    """A call without a deadline."""

    def time_remaining(self) -> float | None:
        return None


@pytest.mark.parametrize(("wanted", "untimed"), [(0.0, False), (0.5, True), (60.0, True)])
def test_only_a_poll_that_waits_is_untimed(wanted: float, untimed: bool) -> None:
    call = copy_context()

    call.run(seconds_to_wait, wanted, cast("ServicerContext[Any, Any]", Context()))

    assert call.run(is_untimed) is untimed
