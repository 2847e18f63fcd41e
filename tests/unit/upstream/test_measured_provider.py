"""Calls to a provider: how long those took that it answered, and how the others failed."""

import pytest

from services.upstream import provider
from services.upstream.measured import MeasuredProvider
from services.upstream.provider import (
    BrokenCause,
    BrokenError,
    BusyError,
    Hint,
    Pending,
    RefusalKind,
    Refused,
    RefusedError,
    UnknownError,
    UnreachableError,
    UnsearchableError,
    UpstreamError,
)
from tests.fakes.upstream import ScriptedProvider
from tests.metric_values import value, values
from tests.unit.upstream.test_ark_wire import ORDER

FAILURES = {
    "refused": RefusedError(Refused(kind=RefusalKind.CONTENT)),
    "busy": BusyError("later"),
    "unreachable": UnreachableError("down"),
    "unknown": UnknownError("cut off"),
    "broken": BrokenError("no key", cause=BrokenCause.CREDENTIAL),
    "unsearchable": UnsearchableError("no listing"),
}


async def _submit(measured: MeasuredProvider) -> str:
    return await measured.submit(ORDER, correlation_id="att_1", callback_url=None, timeout_seconds=1)


def test_every_way_to_fail_has_a_class_of_its_own() -> None:
    declared = {
        found
        for found in vars(provider).values()
        if isinstance(found, type) and issubclass(found, UpstreamError) and found is not UpstreamError
    }

    assert {type(error) for error in FAILURES.values()} == declared


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_is_counted_by_its_class_and_passed_on(name: str) -> None:
    measured = MeasuredProvider(ScriptedProvider(submit_error=FAILURES[name]), route=f"unit-{name}")

    with pytest.raises(type(FAILURES[name])):
        await _submit(measured)

    failures = values("reelgate_provider_failures_total")
    ours = {labels: count for labels, count in failures.items() if f"unit-{name}" in labels and count}
    assert ours == {(name, "submit", f"unit-{name}"): 1}
    assert value("reelgate_provider_seconds_count", route=f"unit-{name}", operation="submit") == 0


async def test_what_is_answered_is_timed_and_passed_on() -> None:
    scripted = ScriptedProvider(answers=[Pending(running=True)])
    measured = MeasuredProvider(scripted, route="unit-answers")

    task_id = await _submit(measured)
    found = await measured.find("att_1", model="m", created_after=0, timeout_seconds=1)
    carries = await measured.carries(task_id, "att_1", timeout_seconds=1)
    checked = await measured.check(task_id, timeout_seconds=1)
    is_cancelled = await measured.cancel(task_id, timeout_seconds=1)

    hint = await measured.read_callback({}, b"task-1", model="m")

    assert (found, carries, checked, is_cancelled) == (task_id, True, Pending(running=True), True)
    assert hint == Hint(task_id="task-1", is_authentic=False)
    assert measured.media_headers("https://p.example/v") == {"authorization": "of https://p.example/v"}
    for operation in ("submit", "find", "carries", "check", "cancel", "read_callback"):
        assert value("reelgate_provider_seconds_count", route="unit-answers", operation=operation) == 1
