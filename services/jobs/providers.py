"""The providers of the catalogue in force, one for each key of its credentials, and the simulator."""

from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import aiohttp
from typing_extensions import override

from services.common.egress.policy import UrlPolicy
from services.common.egress.urls import origin_of
from services.common.settings import SettingsError
from services.jobs.catalogue.current import CurrentCatalogue, InForce, in_force
from services.jobs.catalogue.forms import ARK_KEY_VARIABLE
from services.jobs.catalogue.keys import CALLBACK_SECRET
from services.jobs.catalogue.load import load_catalogue
from services.jobs.catalogue.problems import CatalogueError, Problem
from services.jobs.domain.routes import SIMULATOR
from services.jobs.settings import JobsSettings
from services.upstream.measured import MeasuredProvider
from services.upstream.pictures import Load, load_nothing
from services.upstream.provider import Provider
from services.upstream.providers.ark.adapter import ArkProvider
from services.upstream.registry import KINDS

ARK, FAL = "ark", "fal"


def read_catalogue(settings: JobsSettings, environment: Mapping[str, str]) -> InForce:
    """Returns what the file of the settings says, with the keys that it names. Raises CatalogueError."""
    file = load_catalogue(
        settings.catalogue_file,
        base_urls={ARK: settings.ark_base_url},
        live_on_simulator=settings.live_provider == SIMULATOR,
    )
    simulator = origin_of(settings.simulator_base_url)
    for name, credential in file.catalogue.credentials.items():
        if origin_of(credential.base_url) == simulator:
            what = "is where the simulator is, for which nobody may pay"
            write = "write where the provider is, or correct JOBS_SIMULATOR_BASE_URL"
            raise CatalogueError([Problem(f"credentials.{name}.base_url", what, write)])
    return in_force(file, _with_setting(settings, environment))


def _with_setting(settings: JobsSettings, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Returns the environment with the key that is a setting, unless its own file is there to be watched."""
    if settings.ark_api_key is None or f"{ARK_KEY_VARIABLE}_FILE" in environment:
        return environment
    return {ARK_KEY_VARIABLE: settings.ark_api_key.get_secret_value(), **environment}


def open_catalogue(settings: JobsSettings, environment: Mapping[str, str]) -> CurrentCatalogue:
    """Returns the catalogue of a process. Raises SettingsError."""
    try:
        return CurrentCatalogue(settings.catalogue_file, partial(read_catalogue, settings, environment))
    except CatalogueError as error:
        raise SettingsError("\n".join(f"CATALOGUE_FILE: {problem}" for problem in error.problems)) from error


class TrustedOrigins:
    """Where providers are: those of the catalogue in force, the simulator, our own media with uploads, and what settings add."""

    def __init__(self, settings: JobsSettings, current: CurrentCatalogue) -> None:
        own = {
            origin_of(settings.simulator_base_url),
            origin_of(settings.media_base_url),
            origin_of(settings.fal_callback_keys_url),
        }
        self._fixed = settings.result_origins_allowed | own
        self._current = current

    def __contains__(self, origin: object) -> bool:
        credentials = self._current().credentials.values()
        return origin in self._fixed or any(origin == origin_of(each.base_url) for each in credentials)


def provider_policy(settings: JobsSettings, current: CurrentCatalogue) -> UrlPolicy:
    """Returns which addresses providers may have, and from which results and keys of callbacks may be fetched."""
    return UrlPolicy(origins_trusted=TrustedOrigins(settings, current))


Opened = Mapping[str, Provider]
_Identity = tuple[str, str, str, str, str | None]
"""The name of a credential, its provider, address and key, and the secret of its callbacks."""


class CatalogueProviders(Mapping[str, Opened]):
    """The providers by environment. `test` never has one that costs money, whatever is in the catalogue.

    A provider is named `CREDENTIAL/KEY`, and the one with the first key of a credential also by the credential alone.
    `load` is for providers that want pictures as bytes.
    What the catalogue in force does not name is not there. One whose key and address stay is the same object.
    """

    def __init__(
        self,
        settings: JobsSettings,
        session: aiohttp.ClientSession,
        current: CurrentCatalogue,
        *,
        load: Load = load_nothing,
    ) -> None:
        # The simulator uses the seed; ModelArk documents none for the models that we use.
        simulator = ArkProvider(
            session=session,
            base_url=settings.simulator_base_url,
            api_key=settings.simulator_api_key.get_secret_value(),
            sends_seed=True,
        )
        measured = MeasuredProvider(simulator, route=SIMULATOR)
        self._simulated: Opened = MappingProxyType(
            {SIMULATOR: measured, f"{SIMULATOR}/{SIMULATOR}": measured}
        )
        self._session = session
        self._settings_of = {FAL: {"keys_url": settings.fal_callback_keys_url}}
        self._load = load
        self._current = current
        self._opened: dict[_Identity, Provider] = {}
        self._known: InForce | None = None
        self._live: Opened = self._simulated

    @override
    def __getitem__(self, environment: str) -> Opened:
        return self._of_live() if environment == "live" else self._of_test(environment)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(("live", "test"))

    @override
    def __len__(self) -> int:
        return 2

    def _of_test(self, environment: str) -> Opened:
        if environment != "test":
            raise KeyError(environment)
        return self._simulated

    def _of_live(self) -> Opened:
        known = self._current.in_force
        if known is not self._known:
            self._live, self._known = self._open(known), known
        return self._live

    def _open(self, known: InForce) -> Opened:
        opened = dict(self._simulated)
        kept: dict[_Identity, Provider] = {}
        for credential in known.catalogue.credentials.values():
            for key_name in reversed(credential.keys):
                key = known.keys.get((credential.name, key_name))
                if key is None:
                    continue
                secret = known.keys.get((credential.name, CALLBACK_SECRET))
                identity = (credential.name, credential.provider, credential.base_url, key, secret)
                provider = self._opened.get(identity) or self._opened_now(*identity)
                opened[f"{credential.name}/{key_name}"] = opened[credential.name] = kept[identity] = provider
        self._opened = kept
        return MappingProxyType(opened)

    def _opened_now(
        self, name: str, provider: str, base_url: str, key: str, callback_secret: str | None
    ) -> Provider:
        kind = KINDS[provider]
        more: dict[str, Any] = dict(self._settings_of.get(provider, {}))
        if kind.loads:
            more["load"] = self._load
        if kind.takes_callback_secret:
            more["callback_secret"] = callback_secret
        opened = kind.open(session=self._session, base_url=base_url, api_key=key, **more)
        return MeasuredProvider(opened, route=name)
