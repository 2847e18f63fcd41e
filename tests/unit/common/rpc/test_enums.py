import pytest
from reelgate.admin.v1.environment_pb2 import Environment
from reelgate.admin.v1.job_admin_service_pb2 import JobOutcome, JobState
from reelgate.admin.v1.key_admin_service_pb2 import KeyKind
from reelgate.admin.v1.statement_pb2 import MovementKind

from services.billing.domain import CALLS_PER_MINUTE
from services.common.rpc.enums import environment_of, environment_value, text_of, value_of
from services.jobs.domain.states import State
from services.jobs.operations.settle_job import Outcome


@pytest.mark.parametrize(
    ("enum", "texts"),
    [
        (Environment, {"live", "test"}),
        (JobState, set(State)),
        (JobOutcome, set(Outcome)),
        (KeyKind, set(CALLS_PER_MINUTE)),
        (MovementKind, {"grant", "correction", "hold", "capture", "release", "expire", "refund"}),
    ],
)
def test_an_enum_has_a_value_for_each_text_and_no_other(enum: type, texts: set[str]) -> None:
    descriptor = enum.DESCRIPTOR  # type: ignore[attr-defined]
    values = [value.number for value in descriptor.values if value.number]

    assert {text_of(descriptor, value) for value in values} == texts
    assert [value_of(descriptor, text_of(descriptor, value)) for value in values] == values


def test_what_is_unspecified_has_no_text() -> None:
    assert environment_of(Environment.ENVIRONMENT_UNSPECIFIED) == ""


def test_a_value_of_a_newer_release_is_shown_as_its_number() -> None:
    assert environment_of(9) == "9"


def test_a_text_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        environment_value("prod")
