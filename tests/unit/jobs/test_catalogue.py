"""The catalogue that is shipped, and what is refused in its place: each problem says where, what, and what to write."""

from pathlib import Path

import pytest

from services.jobs.catalogue.load import load_catalogue
from services.jobs.catalogue.problems import CatalogueError
from services.jobs.domain.routes import Callbacks
from tests.unit.jobs.samples import CATALOGUE, OWNER

SMALL = """
credentials:
  ark: {provider: ark, keys: [{name: main, env: ARK_API_KEY}]}
routes:
  one:
    credential: ark
    model: seedance
    features: {resolutions: [480p, 720p], seconds: [4, 6, 8]}
    cost_usd_per_second: {480p: "0.02", 720p: "0.05"}
models:
  pro:
    resolutions: [480p, 720p]
    duration_seconds: {min: 4, max: 8}
    aspect_ratios: ["16:9"]
    capabilities: [watermark]
    routes: [{route: one}]
accounts:
  acct_01jz8b7q4x8k2p9w3m5c6n7r8s: {only: [one]}
"""
WRITE_ONE = "write one of one"


def problems_of(text: str, folder: Path) -> list[str]:
    path = folder / "catalogue.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogueError) as refused:
        load_catalogue(path)
    return str(refused.value).splitlines()


def test_models_stand_strongest_first() -> None:
    assert [(model.contract, model.id) for model in CATALOGUE.models] == [
        ("seedancee2", "pro"),
        ("seedancee2", "fast"),
        ("seedancee2", "mini"),
        ("nextapi", "seedance-2.0-pro"),
        ("nextapi", "seedance-2.0-fast"),
        ("nextapi", "seedance-2.0-mini"),
    ]


def test_every_model_is_rendered_by_modelark() -> None:
    assert {
        model.id: [
            (choice.route.provider, choice.route.upstream_model)
            for choice in CATALOGUE.choices_of(model.id, OWNER).every
        ]
        for model in CATALOGUE.models
    } == {
        "pro": [("ark", "dreamina-seedance-2-0-260128")],
        "fast": [("ark", "dreamina-seedance-2-0-fast-260128")],
        "mini": [("ark", "dreamina-seedance-2-0-mini-260615")],
        "seedance-2.0-pro": [("ark", "dreamina-seedance-2-0-260128")],
        "seedance-2.0-fast": [("ark", "dreamina-seedance-2-0-fast-260128")],
        "seedance-2.0-mini": [("ark", "dreamina-seedance-2-0-mini-260615")],
    }


def test_routes_can_do_all_that_the_shipped_models_promise() -> None:
    assert CATALOGUE.models_of(OWNER) == CATALOGUE.models


def test_costs_are_exact_and_features_fall_short_of_the_provider_s_where_said(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.yaml"
    path.write_text(SMALL, encoding="utf-8")

    route = load_catalogue(path).catalogue.routes["one"]

    assert route.cost_micros_per_second == {"480p": 20_000, "720p": 50_000}
    assert route.features.seconds == {4, 6, 8}
    assert route.features.audio == {True, False}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "provider: ark",
            "provider: arc",
            "credentials.ark.provider: is arc, which is no provider; write one of ",
        ),
        ("provider: ark, ", "", "credentials.ark.provider: is missing; write the name of a provider"),
        ("provider: ark, ", "provider: ark, region: eu, ", "credentials.ark.region: is no key that is known"),
        ("[{name: main, env: ARK_API_KEY}]", "[]", "credentials.ark.keys: is empty; write at least one key"),
        (", keys: [{name: main, env: ARK_API_KEY}]", "", "credentials.ark.keys: is missing; write at least one"),
        (", env: ARK_API_KEY", "", "credentials.ark.keys.0: needs exactly one place; write env: NAME"),
        ("env: ARK_API_KEY", "env: JOBS_TYPO", "credentials.ark.keys.0.env: is JOBS_TYPO, which would be read as"),
        (
            "{name: main, env: ARK_API_KEY}",
            "{name: main, env: A}, {name: main, env: B}",
            "credentials.ark.keys: has two keys named main; give one another name",
        ),
        (
            "provider: ark,",
            "provider: ark, base_url: ark.example,",
            "credentials.ark.base_url: is no address ('ark.example' is not an address such as",
        ),
        (
            "provider: ark,",
            "provider: ark, callback_secret: {env: ARK_SECRET},",
            "credentials.ark.callback_secret: is of no use: ark signs no callbacks with a secret; take it out",
        ),
        (
            "provider: ark,",
            "provider: reelgate, callback_secret: {},",
            "credentials.ark.callback_secret: needs exactly one place; write env: NAME",
        ),
        (
            "provider: ark,",
            "provider: reelgate,",
            "credentials.ark.base_url: is missing, and reelgate has no public address; write one such as",
        ),
        ("credential: ark", "credential: fal", "routes.one.credential: is fal, which is no credential here; write one of ark"),
        ("    cost_usd", "    cost_cents", "routes.one.cost_cents_per_second: is no key that is known here; write one of "),
        (
            '    cost_usd_per_second: {480p: "0.02", 720p: "0.05"}\n',
            "",
            "routes.one.cost_usd_per_second: is missing; write what a second costs in US dollars",
        ),
        (
            ', 720p: "0.05"',
            "",
            "routes.one.cost_usd_per_second: has no cost of 720p, which the route can do; write it, or take",
        ),
        (
            '720p: "0.05"',
            '720p: "0.05", 1080p: "0.1"',
            "routes.one.cost_usd_per_second.1080p: is a cost of what the route cannot do; write 480p, 720p only",
        ),
        ('"0.05"', '"50000"', "routes.one.cost_usd_per_second.720p: is 50000 US dollars, above 100; write US dollars"),
        ('"0.05"', '"5 cents"', "routes.one.cost_usd_per_second.720p: is 5 cents, not an amount of US dollars; write a"),
        ('"0.05"', "5e-2", "routes.one.cost_usd_per_second.720p: is 5e-2, not an amount of US dollars"),
        ('"0.05"', "-1", "routes.one.cost_usd_per_second.720p: is -1, not an amount of US dollars"),
        ('"0.05"', "0.0500000001", "routes.one.cost_usd_per_second.720p: has more than 6 decimals; round it to"),
        ("[4, 6, 8]", "[4, 90]", "routes.one.features.seconds: are none, or not all from 1 to 60; write"),
        ("[4, 6, 8]", "[4, 6, 8, 59]", "routes.one.features.seconds: goes beyond what ark can do; write "),
        ("[4, 6, 8]", "long", "routes.one.features.seconds: are not whole seconds; write {min: 4, max: 15}"),
        ("[4, 6, 8]}", "[4, 6, 8], wings: 2}", "routes.one.features.wings: is no key that is known here; write one of resol"),
        ("    model: seedance\n", "    model: seedance\n    options: {turbo: 'on'}\n", "routes.one.options.turbo: is no option of ark"),
        ("max: 8}", "max: 9}", "models.pro.duration_seconds: promises 9, which none of the model's routes can do; take it"),
        ("{min: 4, max: 8}", "{min: 9, max: 8}", "models.pro.duration_seconds: has a min above its max; write the"),
        ("resolutions: [480p, 720p]\n    dur", "resolutions: [1080p]\n    dur", "models.pro.resolutions: promises 1080p, which"),
        ("[480p, 720p], sec", "[480p, 720p], watermark: [false], sec", "models.pro.capabilities: promises watermark, which"),
        ("[watermark]", "[wings]", "models.pro.capabilities.0: is wings; write one of image_reference, video_reference"),
        ("    routes: [{route: one}]\n", "", "models.pro.routes: is missing; write at least one route, such as"),
        ("    routes: [{route: one}]", "    routes: []", "models.pro.routes: is empty; write at least one route, such as"),
        ("[{route: one}]", "[{route: two}]", f"models.pro.routes: has the route two, which is not here; {WRITE_ONE}"),
        ("[{route: one}]", "[{route: one}, {route: one}]", "models.pro.routes: has the route one twice; keep one"),
        ("{route: one}", "{route: one, weight: 0}", "models.pro.routes.0.weight: is 0; write greater than or equal to 1"),
        ("{route: one}", "{route: one, weight: half}", "models.pro.routes.0.weight: is half; write a whole number"),
        ("{only: [one]}", "{only: [two]}", "has the route two, which is not here; write one of one"),
        ("{only: [one]}", "{only: [one], never: [one]}", "leaves the account no route; write fewer under never"),
        ("acct_01jz8b7q4x8k2p9w3m5c6n7r8s", "customer", "accounts.customer: has an unusable name; write the id of an"),
        ("  one:", "  simulator:", "routes.simulator: has the name of what renders for the environment test; give it"),
        ("models:", "version: 1\nmodels:", "version: is no key that is known here; write one of credit_value_usd, credentials"),
        ("accounts:", "  pro: {}\naccounts:", "models.pro: is written twice, in lines 11 and 17; keep one, or give the"),
        ("models:", "  one: {}\nmodels:", "routes.one: is written twice, in lines 5 and 10; keep one, or give the other"),
        ("    model: seedance\n", "    model: a\n    model: b\n", "routes.one.model: is written twice, in lines 7 and 8"),
        ("models:\n", "models: [\n", "line 12: is not YAML: "),
    ],
)  # fmt: skip
def test_each_problem_says_where_it_is_what_it_is_and_what_to_write(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    assert old in SMALL

    found = problems_of(SMALL.replace(old, new, 1), tmp_path)

    assert any(problem in each for each in found), found


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    text = SMALL.replace("provider: ark", "provider: arc").replace("weight", "").replace('"0.02"', "2 cents")
    text = text.replace("{only: [one]}", "{only: [two]}").replace("[watermark]", "[wings]")

    places = {problem.partition(": ")[0] for problem in problems_of(text, tmp_path)}

    assert places >= {
        "credentials.ark.provider",
        "routes.one.cost_usd_per_second.480p",
        "models.pro.capabilities.0",
        "accounts.acct_01jz8b7q4x8k2p9w3m5c6n7r8s.only",
    }


def test_a_key_is_never_shown(tmp_path: Path) -> None:
    found = problems_of(SMALL.replace("env: ARK_API_KEY", "key: sk-very-secret"), tmp_path)

    assert found
    assert "sk-very-secret" not in str(found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "models",
        "a: &a [*a]",
        "? {a: b}\n: c",
        "models: {1: [",
        "\tmodels: 1",
        "\ud7ff: 1",
        "[" * 5000,
    ],
)
def test_what_is_no_catalogue_is_refused_with_words(tmp_path: Path, text: str) -> None:
    assert problems_of(text, tmp_path)


def test_a_missing_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"none.yaml: cannot be read: No such file or directory; name a"):
        load_catalogue(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("provider", "secret", "callbacks"),
    [
        ("ark", "", Callbacks.HINTS),
        ("fal", "", Callbacks.VERIFIED),
        ("minimax", "", Callbacks.NONE),
        ("openrouter", "", Callbacks.HINTS),
        ("openrouter", ", callback_secret: {file: /run/secret}", Callbacks.VERIFIED),
    ],
)
def test_a_credential_tells_what_its_callbacks_are(
    tmp_path: Path, provider: str, secret: str, callbacks: Callbacks
) -> None:
    path = tmp_path / "catalogue.yaml"
    other = f"  other: {{provider: {provider}{secret}, keys: [{{name: main, env: KEY}}]}}\n"
    path.write_text(SMALL.replace("credentials:\n", f"credentials:\n{other}"), encoding="utf-8")

    assert load_catalogue(path).catalogue.credentials["other"].callbacks is callbacks
