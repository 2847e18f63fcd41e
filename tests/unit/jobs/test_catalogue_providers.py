"""Providers follow the catalogue in force: one for each key, and never a paid one for `test`."""

from typing import Any, cast

import aiohttp
import pytest

from services.common.settings import SettingsError
from services.jobs.catalogue.current import InForce, in_force
from services.jobs.catalogue.load import load_catalogue
from services.jobs.providers import CatalogueProviders, TrustedOrigins, open_catalogue
from tests.unit.jobs.test_settings import load

TEXT = """
credentials:
  a: {{provider: ark, base_url: "http://ark.internal:8080/v3", keys: {keys}}}
routes:
  one: {{credential: a, model: m, features: {{resolutions: [480p]}}, cost_usd_per_second: {{480p: "0.02"}}}}
models:
  pro: {{resolutions: [480p], duration_seconds: {{min: 4, max: 8}}, aspect_ratios: ["16:9"], capabilities: [], routes: [{{route: one}}]}}
"""
"""Nobody is called, so no session is opened."""
ENVIRONMENT = {"KEY_1": "first", "KEY_2": "second"}
NO_SESSION = cast("aiohttp.ClientSession", None)
MAIN, SPARE = "{name: main, env: KEY_1}", "{name: spare, env: KEY_2}"


class Current:
    """A catalogue in force that a test changes."""

    def __init__(self, tmp_path: Any) -> None:
        self._path = tmp_path / "catalogue.yaml"
        self.in_force: InForce
        self.write(MAIN)

    def write(self, *keys: str) -> None:
        self._path.write_text(TEXT.format(keys=f"[{', '.join(keys)}]"), encoding="utf-8")
        self.in_force = in_force(load_catalogue(self._path), ENVIRONMENT)

    def __call__(self) -> Any:
        return self.in_force.catalogue


@pytest.fixture
def current(tmp_path: Any) -> Any:
    return Current(tmp_path)


def test_each_key_has_a_provider_and_test_has_the_simulator_alone(current: Any) -> None:
    current.write(MAIN, SPARE)
    providers = CatalogueProviders(load(), NO_SESSION, current)

    assert set(providers["test"]) == {"simulator", "simulator/simulator"}
    assert set(providers["live"]) == {*providers["test"], "a", "a/main", "a/spare"}
    assert providers["live"]["a"] is providers["live"]["a/main"]
    with pytest.raises(KeyError):
        providers["staging"]


def test_a_provider_stays_the_same_while_its_key_and_address_do(current: Any) -> None:
    providers = CatalogueProviders(load(), NO_SESSION, current)
    before = providers["live"]["a/main"]

    current.write(SPARE, MAIN)
    now = providers["live"]
    current.write("{name: main, env: KEY_2}")
    rotated = providers["live"]

    assert now["a/main"] is before
    assert now["a"] is now["a/spare"]
    assert rotated["a/main"] is not before
    assert "a/spare" not in rotated


def test_addresses_of_the_catalogue_in_force_are_trusted(current: Any) -> None:
    origins = TrustedOrigins(load(result_origins_allowed="http://files.internal:9000"), current)

    assert ("ark.internal", 8080) in origins
    assert ("files.internal", 9000) in origins
    assert ("simulator", 8000) in origins
    assert ("ark.internal", 80) not in origins


def test_no_credential_may_be_where_the_simulator_is(tmp_path: Any) -> None:
    current = Current(tmp_path)
    settings = load(
        catalogue_file=str(current._path),
        live_provider="catalogue",
        simulator_base_url="http://ark.internal:8080/simulator",
    )

    with pytest.raises(
        SettingsError, match=r"^CATALOGUE_FILE: credentials\.a\.base_url: is where the simulator is"
    ):
        open_catalogue(settings, ENVIRONMENT)


def test_the_secret_of_callbacks_reaches_the_adapter_and_a_new_one_opens_another(tmp_path: Any) -> None:
    path = tmp_path / "catalogue.yaml"
    where = "provider: reelgate, callback_secret: {env: SECRET}"
    path.write_text(TEXT.format(keys=f"[{MAIN}]").replace("provider: ark", where), encoding="utf-8")
    current = cast("Any", Held())

    def opened(secret: str) -> Any:
        current.in_force = in_force(load_catalogue(path), {**ENVIRONMENT, "SECRET": secret})
        return providers["live"]["a"]

    providers = CatalogueProviders(load(), NO_SESSION, current)
    first, second, again = opened("whsec_MQ=="), opened("whsec_Mg=="), opened("whsec_Mg==")

    assert first._provider._callback_secret == "whsec_MQ=="
    assert second._provider._callback_secret == "whsec_Mg=="
    assert again is second
    assert current.in_force.key_names == (("a", "main"),)


class Held:
    """What `current` is to providers: whatever a test puts there."""

    in_force: InForce
