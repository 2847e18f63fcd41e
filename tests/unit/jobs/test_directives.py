"""Directives of test prompts: each that there is goes through, everything that was meant as one and is none is refused."""

from dataclasses import replace

import pytest

from services.common.errors import Reason, ServiceError
from services.jobs.convert import nextapi, seedancee2
from services.jobs.domain.requests import NewJob
from services.jobs.operations.magic_prompts import (
    NO_CREDITS,
    NUMBERED,
    PLAIN,
    REFUSED_PROMPT,
    check_directive,
)
from services.simulator.scenarios import SCENARIOS
from tests.fakes.jobs import FakeJobs, FakeLedger
from tests.fakes.operations import job_operations
from tests.unit.jobs.samples import BUYER, INPUT, OWNER


def wanted(prompt: str, field_name: object = seedancee2.field_name) -> NewJob:
    return NewJob(
        model="mini",
        input=replace(INPUT, prompt=prompt),
        callback_url=None,
        metadata_json=None,
        field_name=field_name,  # type: ignore[arg-type]
    )


def refusal(prompt: str) -> ServiceError:
    with pytest.raises(ServiceError) as refused:
        check_directive(wanted(prompt), environment="test")
    assert refused.value.reason is Reason.INVALID_FIELD
    return refused.value


def test_the_directives_are_those_of_the_simulator_and_two_of_our_own() -> None:
    assert set(NUMBERED) == {row.directive for row in SCENARIOS if row.number}
    assert set(PLAIN) == {row.directive for row in SCENARIOS if not row.number} | {NO_CREDITS, REFUSED_PROMPT}


@pytest.mark.parametrize("name", [*NUMBERED, *PLAIN])
def test_every_directive_goes_through(name: str) -> None:
    for prompt in (f"[simulate: {name}]", f"A cat [SIMULATE:{name.upper()}  ] at dawn"):
        check_directive(wanted(prompt), environment="test")


@pytest.mark.parametrize("name", NUMBERED)
def test_these_take_a_number(name: str) -> None:
    check_directive(wanted(f"[simulate: {name} 12]"), environment="test")


@pytest.mark.parametrize(
    "directive",
    [
        "[simulate: nonsense]",
        "[simulate: slw 10]",
        "[simulate:]",
        "[simulate: ]",
        "[simulate]",
        "[simulate fail]",
        "[ simulate: fail]",
        "[simulate : fail]",
        "[simulate: fail!]",
        "[simulate: fail",
        "[simulate: slow 99999]",
        "[simulate: slow ten]",
        "[simulate: slow -1]",
        "[simulate: fail 3]",
        "[Simulate=fail]",
    ],
)
def test_whatever_else_was_meant_as_one_is_refused_and_all_that_there_are_are_listed(directive: str) -> None:
    refused = refusal(f"A cat {directive}")

    assert refused.message.startswith("Field input.prompt holds a directive that is not known")
    assert [name for name in (*NUMBERED, *PLAIN) if name not in refused.message] == []
    assert directive in refused.message


def test_two_directives_are_refused() -> None:
    refused = refusal("[simulate: fail] and [simulate: slow 5]")

    assert refused.message == "Field input.prompt may hold one [simulate: …] directive; it had 2."


def test_the_field_has_the_name_that_its_contract_gives_it() -> None:
    with pytest.raises(ServiceError) as refused:
        check_directive(wanted("[simulate: no]", nextapi.field_name), environment="test")

    assert refused.value.metadata == {"field": "prompt"}


@pytest.mark.parametrize("prompt", ["[simulate: nonsense]", "[simulate: fail] [simulate: fail]"])
def test_in_live_a_directive_is_a_part_of_the_prompt(prompt: str) -> None:
    check_directive(wanted(prompt), environment="live")


@pytest.mark.parametrize("prompt", ["A cat", "simulate: a storm", "[simulated] storm", "[a [b] simulate]"])
def test_a_test_prompt_without_one_is_left_alone(prompt: str) -> None:
    check_directive(wanted(prompt), environment="test")


async def test_neither_a_creation_nor_an_estimate_goes_on_with_one_that_is_none() -> None:
    buyer = replace(BUYER, owner=replace(OWNER, environment="test"))
    sent = wanted("[simulate: nonsense]")
    purse = {(OWNER.account_id, "test"): 10**12}
    jobs, ledger = FakeJobs(), FakeLedger(available_micros=dict(purse))
    operations = job_operations(jobs, ledger=ledger, funds=ledger)

    creation = operations.create(sent, buyer=buyer, id_prefix="vid")
    estimate = operations.estimate(sent, buyer=buyer)

    for call in (creation, estimate):
        with pytest.raises(ServiceError, match="holds a directive that is not known"):
            await call
    assert (jobs.jobs, ledger.available_micros) == ({}, purse)
