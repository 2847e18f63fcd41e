"""A request goes only where everything that it asks exists, and an account only where it may."""

from dataclasses import replace
from typing import Any

import pytest

from services.jobs.domain.catalogue import SIMULATED, AccountRoutes, Catalogue
from services.jobs.domain.offers import Model
from services.jobs.domain.requests import Owner
from services.jobs.domain.routes import Choice, Choices, Lack
from services.upstream.features import Asked

ALL = SIMULATED.route.features
OWNER = Owner(account_id="acct_1", environment="live", contract="seedancee2")
ASKED = Asked(
    resolutions="720p",
    seconds=5,
    aspect_ratios="16:9",
    image_references=0,
    video_references=0,
    audio_references=0,
    references=0,
    start_frame=False,
    end_frame=False,
    audio=False,
    watermark=False,
    prompt_characters=20,
    seed=False,
)
MODEL = Model(
    id="pro",
    contract="seedancee2",
    resolutions=("480p", "720p", "1080p"),
    duration_seconds_min=4,
    duration_seconds_max=15,
    aspect_ratios=("16:9", "9:16"),
    capabilities=("image_reference", "first_and_last_frames", "watermark"),
)


def a_choice(name: str, *, priority: int = 1, **less: Any) -> Choice:
    route = replace(SIMULATED.route, name=name, features=replace(ALL, **less))
    return Choice(route=route, priority=priority, weight=1)


def names(choices: tuple[Choice, ...]) -> list[str]:
    return [choice.route.name for choice in choices]


def a_catalogue(*choices: Choice, live_on_simulator: bool = False, **accounts: AccountRoutes) -> Catalogue:
    return Catalogue(
        models=(MODEL,),
        routes={choice.route.name: choice.route for choice in choices},
        credentials={},
        choices_by_model={"pro": choices},
        accounts=accounts,
        credit_value_micros={},
        live_on_simulator=live_on_simulator,
    )


@pytest.mark.parametrize(
    ("asks", "less"),
    [
        ({"resolutions": "1080p"}, {"resolutions": frozenset({"720p"})}),
        ({"seconds": 5}, {"seconds": frozenset({4, 6, 8})}),
        ({"aspect_ratios": "21:9"}, {"aspect_ratios": frozenset({"16:9"})}),
        ({"image_references": 4}, {"image_references": 3}),
        ({"video_references": 1}, {"video_references": 0}),
        ({"audio_references": 2}, {"audio_references": 1}),
        ({"references": 13}, {"references": 12}),
        ({"prompt_characters": 3_501}, {"prompt_characters": 3_500}),
        ({"start_frame": True}, {"start_frame": False}),
        ({"end_frame": True}, {"end_frame": False}),
        ({"audio": False}, {"audio": frozenset({True})}),
        ({"watermark": True}, {"watermark": frozenset({False})}),
    ],
)
def test_a_request_skips_the_route_that_lacks_what_it_asks(
    asks: dict[str, Any], less: dict[str, Any]
) -> None:
    choices = Choices([a_choice("poor", **less), a_choice("rich")])

    assert names(choices.able(replace(ASKED, **asks))) == ["rich"]
    assert Choices([a_choice("poor", **less)]).able(replace(ASKED, **asks)) == ()
    assert not Choices([a_choice("poor", **less)]).can(replace(ASKED, **asks))


def test_what_is_just_as_long_as_it_may_be_goes_anywhere() -> None:
    choices = Choices([a_choice("short", prompt_characters=3_500), a_choice("long", prompt_characters=7_000)])

    assert names(choices.able(replace(ASKED, prompt_characters=3_500))) == ["short", "long"]
    assert names(choices.able(replace(ASKED, prompt_characters=7_000))) == ["long"]
    assert choices.lack(replace(ASKED, prompt_characters=7_001)) == Lack(
        feature="prompt_characters", possible=(3_500, 7_000)
    )


def test_routes_come_by_priority_and_else_as_they_were_written() -> None:
    choices = Choices([a_choice("c", priority=2), a_choice("a"), a_choice("b")])

    assert names(choices.able(ASKED)) == ["a", "b", "c"]


def test_a_named_seed_prefers_routes_with_seeds_and_needs_none() -> None:
    seeded = replace(ASKED, seed=True)

    assert names(Choices([a_choice("a", seed=False), a_choice("b")]).able(seeded)) == ["b"]
    assert names(Choices([a_choice("a", seed=False)]).able(seeded)) == ["a"]


def test_what_is_lacking_is_what_the_closest_routes_lack() -> None:
    choices = Choices(
        [
            a_choice("far", start_frame=False, end_frame=False, seconds=frozenset({4})),
            a_choice("near", seconds=frozenset({4, 6})),
            a_choice("also near", seconds=frozenset({8})),
        ]
    )

    assert choices.lack(replace(ASKED, start_frame=True, end_frame=True)) == Lack(
        feature="seconds", possible=(4, 6, 8)
    )


def test_an_account_is_pinned_to_routes_and_barred_from_routes() -> None:
    catalogue = a_catalogue(
        a_choice("a"),
        a_choice("b"),
        a_choice("c"),
        acct_1=AccountRoutes(only=frozenset({"a", "b"}), never=frozenset({"b"})),
        acct_2=AccountRoutes(never=frozenset({"a"})),
    )

    def found(account_id: str, environment: str = "live") -> list[str]:
        owner = replace(OWNER, account_id=account_id, environment=environment)
        return names(catalogue.choices("pro", owner, ASKED))

    assert found("acct_1") == ["a"]
    assert found("acct_2") == ["b", "c"]
    assert found("acct_3") == ["a", "b", "c"]
    assert found("acct_1", "test") == ["simulator"]


def test_a_model_promises_an_account_what_its_routes_have_and_no_more() -> None:
    catalogue = a_catalogue(
        a_choice("a", resolutions=frozenset({"480p", "720p"}), seconds=frozenset({4, 6, 8}), end_frame=False),
        a_choice("b"),
        acct_1=AccountRoutes(only=frozenset({"a"})),
        acct_2=AccountRoutes(never=frozenset({"a", "b"})),
    )

    assert catalogue.models_of(replace(OWNER, account_id="acct_3")) == (MODEL,)
    assert catalogue.models_of(replace(OWNER, account_id="acct_2")) == ()
    (pinned,) = catalogue.models_of(OWNER)
    assert pinned.resolutions == ("480p", "720p")
    assert (pinned.duration_seconds_min, pinned.duration_seconds_max) == (4, 8)
    assert pinned.capabilities == ("image_reference", "watermark")
    assert catalogue.models_of(replace(OWNER, environment="test")) == (MODEL,)


def test_the_simulator_renders_all_of_test_and_of_stacks_without_customers() -> None:
    poor = a_choice("a", resolutions=frozenset({"480p"}))
    asked = replace(ASKED, resolutions="1080p")

    assert a_catalogue(poor).choices("pro", OWNER, asked) == ()
    assert names(a_catalogue(poor, live_on_simulator=True).choices("pro", OWNER, asked)) == ["simulator"]
