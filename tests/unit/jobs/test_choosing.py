"""Routes are tried by priority, then by weight, and the same attempt always tries them in the same order."""

from collections import Counter

from services.jobs.domain.catalogue import SIMULATED
from services.jobs.domain.routes import Choice, Route
from services.jobs.routing import preferred

ATTEMPTS = 4_000


def a_choice(name: str, *, priority: int = 1, weight: int = 1) -> Choice:
    route = Route(**{**vars(SIMULATED.route), "name": name})
    return Choice(route=route, priority=priority, weight=weight)


def order(choices: list[Choice], attempt_id: str = "vid_1-1") -> list[str]:
    return [choice.route.name for choice in preferred(choices, attempt_id)]


def test_a_lower_priority_is_always_tried_first() -> None:
    choices = [
        a_choice("last", priority=3, weight=1_000),
        a_choice("first", priority=1),
        a_choice("next", priority=2, weight=9),
    ]

    assert {tuple(order(choices, f"vid_{number}-1")) for number in range(200)} == {("first", "next", "last")}


def test_weights_share_out_the_first_place() -> None:
    choices = [a_choice("much", weight=6), a_choice("some", weight=3), a_choice("little", weight=1)]

    firsts = Counter(order(choices, f"vid_{number}-1")[0] for number in range(ATTEMPTS))

    # Drawn from the ids, so these are the same numbers on every run; a share is within two hundredths.
    shares = {name: firsts[name] / ATTEMPTS for name in ("much", "some", "little")}
    assert abs(shares["much"] - 0.6) < 0.02
    assert abs(shares["some"] - 0.3) < 0.02
    assert abs(shares["little"] - 0.1) < 0.02


def test_every_route_is_tried_once_and_an_attempt_always_gets_its_order() -> None:
    choices = [a_choice(f"r{number}", priority=number % 3, weight=1 + number % 5) for number in range(50)]

    orders = {tuple(order(choices, f"vid_{number}-1")) for number in range(20)}

    assert all(sorted(each) == sorted(choice.route.name for choice in choices) for each in orders)
    assert len(orders) == 20, "another attempt draws another lot"
    assert order(choices, "vid_7-1") == order(choices, "vid_7-1")


def test_one_route_or_none_needs_no_lot() -> None:
    assert order([]) == []
    assert order([a_choice("only")]) == ["only"]
