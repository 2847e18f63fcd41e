"""Reads the catalogue file, finds everything that is wrong with it, and makes it what the service works with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from services.jobs.catalogue.checks import Parts, check_parts
from services.jobs.catalogue.forms import (
    KEYS,
    AccountForm,
    CredentialForm,
    FileForm,
    ModelForm,
    Part,
    RouteForm,
)
from services.jobs.catalogue.keys import CALLBACK_SECRET, KeyName, KeyPlace
from services.jobs.catalogue.problems import CatalogueError, Problem, problems_of
from services.jobs.catalogue.yaml_text import parse_yaml
from services.jobs.domain.catalogue import AccountRoutes, Catalogue
from services.jobs.domain.offers import Model
from services.jobs.domain.routes import Callbacks, Choice, Credential, Route
from services.upstream.kind import Kind
from services.upstream.registry import KINDS

FILE_BYTES_MAX = 1024 * 1024
AnyPart = TypeVar("AnyPart", bound=Part)


@dataclass(frozen=True, kw_only=True)
class CatalogueFile:
    """What a file says: the catalogue, and where the keys of its credentials are."""

    catalogue: Catalogue
    key_places: Mapping[KeyName, KeyPlace]


def load_catalogue(
    path: Path,
    *,
    base_urls: Mapping[str, str] | None = None,
    live_on_simulator: bool = False,
    kinds: Mapping[str, Kind] = KINDS,
) -> CatalogueFile:
    """Reads a file; keys are not looked at. `base_urls` are the addresses of providers for credentials that name none.

    Raises CatalogueError, which has every problem.
    """
    known = {name: kind.base_url for name, kind in kinds.items() if kind.base_url is not None}
    defaults = known | dict(base_urls or {})
    parts, problems = _parts(_content(path))
    problems += check_parts(parts, kinds)
    if problems:
        raise CatalogueError(problems)
    return CatalogueFile(
        catalogue=_catalogue(parts, kinds=kinds, base_urls=defaults, live_on_simulator=live_on_simulator),
        key_places=dict(_key_places(parts.credentials)),
    )


def _key_places(credentials: Mapping[str, CredentialForm]) -> Iterable[tuple[KeyName, KeyPlace]]:
    for name, credential in credentials.items():
        for key in credential.keys:
            place = f"credentials.{name}.keys.{key.name}"
            yield (name, key.name), KeyPlace(place=place, env=key.env, file=key.file)
        if secret := credential.callback_secret:
            place = f"credentials.{name}.callback_secret"
            yield (name, CALLBACK_SECRET), KeyPlace(place=place, env=secret.env, file=secret.file)


def _content(path: Path) -> object:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise CatalogueError([Problem(str(path), "has more than 1 MiB", "name the catalogue file")])
        return parse_yaml(content.decode())
    except OSError as error:
        problem = Problem(
            str(path), f"cannot be read: {error.strerror}", "name a file that this process may read"
        )
        raise CatalogueError([problem]) from error
    except UnicodeDecodeError as error:
        raise CatalogueError([Problem(str(path), "is not UTF-8", "save it as UTF-8")]) from error


def _parts(content: object) -> tuple[Parts, list[Problem]]:
    """Returns the parts that are usable, and what is wrong with the others."""
    problems: list[Problem] = []
    try:
        file = FileForm.model_validate(content)
    except ValidationError as error:
        raise CatalogueError(problems_of(error, at=(), keys=KEYS[FileForm])) from None

    def each(section: str, form: type[AnyPart]) -> dict[str, AnyPart]:
        parsed = {}
        for name, written in getattr(file, section).items():
            try:
                parsed[name] = form.model_validate(written)
            except ValidationError as error:
                problems.extend(problems_of(error, at=(section, name), keys=KEYS[form]))
        return parsed

    parts = Parts(
        credit_value_micros={str(contract): micros for contract, micros in file.credit_value_usd.items()},
        credentials=each("credentials", CredentialForm),
        routes=each("routes", RouteForm),
        models=each("models", ModelForm),
        accounts=each("accounts", AccountForm),
        names={
            section: frozenset(getattr(file, section))
            for section in ("credentials", "routes", "models", "accounts")
        },
    )
    return parts, problems


def _catalogue(
    parts: Parts, *, kinds: Mapping[str, Kind], base_urls: Mapping[str, str], live_on_simulator: bool
) -> Catalogue:
    routes = {
        name: _route(name, form, parts.credentials[form.credential].provider, kinds)
        for name, form in parts.routes.items()
    }
    return Catalogue(
        models=tuple(_model(name, form) for name, form in parts.models.items()),
        routes=routes,
        credentials={
            name: _credential(name, form, kinds[form.provider], base_urls)
            for name, form in parts.credentials.items()
        },
        choices_by_model={name: tuple(_choices(form, routes)) for name, form in parts.models.items()},
        accounts={
            account_id: AccountRoutes(only=form.only, never=form.never)
            for account_id, form in parts.accounts.items()
        },
        credit_value_micros=parts.credit_value_micros,
        live_on_simulator=live_on_simulator,
    )


def _credential(name: str, form: CredentialForm, kind: Kind, base_urls: Mapping[str, str]) -> Credential:
    return Credential(
        name=name,
        provider=form.provider,
        base_url=form.base_url or base_urls[form.provider],
        keys=tuple(key.name for key in form.keys),
        jobs_at_once=form.jobs_at_once,
        requests_per_minute=form.requests_per_minute,
        callbacks=_callbacks(form, kind),
    )


def _callbacks(form: CredentialForm, kind: Kind) -> Callbacks:
    if not kind.callbacks:
        return Callbacks.NONE
    is_proven = (
        form.callback_secret is not None if kind.takes_callback_secret else bool(kind.callback_headers)
    )
    return Callbacks.VERIFIED if is_proven else Callbacks.HINTS


def _route(name: str, form: RouteForm, provider: str, kinds: Mapping[str, Kind]) -> Route:
    return Route(
        name=name,
        provider=provider,
        credential=form.credential,
        upstream_model=form.model,
        features=form.features.less_than(kinds[provider].features),
        options=form.options,
        cost_micros_per_second=form.cost_usd_per_second,
    )


def _choices(form: ModelForm, routes: Mapping[str, Route]) -> Iterable[Choice]:
    for each in form.routes:
        yield Choice(route=routes[each.route], priority=each.priority, weight=each.weight)


def _model(name: str, form: ModelForm) -> Model:
    said: dict[str, Any] = dict(form)
    seconds = said.pop("duration_seconds")
    said.pop("routes")
    return Model(id=name, duration_seconds_min=seconds.min, duration_seconds_max=seconds.max, **said)
