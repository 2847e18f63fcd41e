import pytest

from services.simulator.errors import ApiError
from services.simulator.orders import Order, parse_order
from services.simulator.scenarios import FLAWLESS, SCENARIO_BY_DIRECTIVE, SCENARIOS, scenario_of
from services.simulator.turns import Turns


def order(prompt: str, safety_identifier: str | None = None) -> Order:
    return parse_order(
        {
            "model": "dreamina-seedance-2-0-260128",
            "content": [{"type": "text", "text": prompt}],
            "safety_identifier": safety_identifier,
        }
    )


def outcomes(turns: Turns, wanted: Order, count: int) -> list[bool]:
    return [turns.misbehaves(wanted) for _ in range(count)]


def test_directives_are_distinct() -> None:
    assert len(SCENARIO_BY_DIRECTIVE) == len(SCENARIOS)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.directive)
def test_a_directive_is_found_anywhere_in_a_prompt(scenario: object) -> None:
    directive = next(row.directive for row in SCENARIOS if row is scenario)

    found, number = scenario_of(f"A cat [Simulate:  {directive.upper()} 7 ] at dawn")

    assert (found, number) == (scenario, 7)


def test_a_directive_without_a_number_has_its_own() -> None:
    assert scenario_of("[simulate: slow]") == (SCENARIO_BY_DIRECTIVE["slow"], 30)


def test_a_plain_prompt_goes_well() -> None:
    assert scenario_of("A cat [in a box] simulates sleep") == (FLAWLESS, 0)


@pytest.mark.parametrize("prompt", ["[simulate: slw]", "[simulate:]", "[simulate: slow] [simulate: fail]"])
def test_an_unknown_or_second_directive_is_refused(prompt: str) -> None:
    with pytest.raises(ApiError, match="rate limit"):
        scenario_of(prompt)


def test_a_limited_create_is_accepted_after_n_refusals_and_refused_again_for_the_next_task() -> None:
    turns, wanted = Turns(), order("[simulate: rate limit 2]")

    assert outcomes(turns, wanted, 6) == [True, True, False, True, True, False]


def test_a_caller_who_changes_its_identifier_still_gets_through() -> None:
    turns = Turns()
    attempts = [order("[simulate: rate limit 2]", f"attempt-{number}") for number in range(3)]

    assert [turns.misbehaves(attempt) for attempt in attempts] == [True, True, False]


def test_a_caller_is_refused_no_more_than_n_times_while_others_send_the_same_prompt() -> None:
    turns = Turns()
    mine, theirs = order("[simulate: create error 2]", "mine"), order("[simulate: create error 2]", "theirs")

    assert outcomes(turns, mine, 2) == [True, True]
    assert outcomes(turns, theirs, 2) == [False, True]
    assert outcomes(turns, mine, 1) == [False]


def test_a_storing_create_misbehaves_once_for_each_caller() -> None:
    turns = Turns()
    first, second = order("[simulate: lost response]", "first"), order("[simulate: lost response]", "second")

    assert outcomes(turns, first, 3) == [True, False, False]
    assert outcomes(turns, second, 2) == [True, False]


def test_a_moderated_prompt_is_refused_every_time() -> None:
    assert outcomes(Turns(), order("[simulate: moderated prompt]"), 3) == [True, True, True]
