"""What must fit between the parts of the file."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from services.jobs.catalogue.forms import AccountForm, CredentialForm, ModelForm, RouteForm
from services.jobs.catalogue.problems import Problem
from services.jobs.domain.catalogue import HELD_BY
from services.jobs.domain.routes import SIMULATOR
from services.upstream.features import Features
from services.upstream.kind import Kind

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MODEL = re.compile(r"\S{1,128}")
_ACCOUNT = re.compile(r"acct_[0-9a-hjkmnp-tv-z]{26}")
_FORM_OF_NAMES = {
    "credentials": (_NAME, "at most 64 lower-case letters, digits, dots, dashes and underscores"),
    "routes": (_NAME, "at most 64 lower-case letters, digits, dots, dashes and underscores"),
    "models": (_MODEL, "at most 128 characters without spaces"),
    "accounts": (_ACCOUNT, "the id of an account, acct_ and 26 letters and digits"),
}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a file that are usable, each by its name."""

    credit_value_micros: Mapping[str, int]
    credentials: Mapping[str, CredentialForm]
    routes: Mapping[str, RouteForm]
    models: Mapping[str, ModelForm]
    accounts: Mapping[str, AccountForm]
    names: Mapping[str, frozenset[str]]
    """All names of each section, also those of parts that are unusable."""


def check_parts(parts: Parts, kinds: Mapping[str, Kind]) -> Iterator[Problem]:
    """Yields what does not fit between the parts."""
    yield from _names(parts)
    yield from _credentials(parts, kinds)
    for name, route in parts.routes.items():
        yield from _route(f"routes.{name}", route, parts, kinds)
    for name, model in parts.models.items():
        yield from _model(f"models.{name}", model, parts, kinds)
    for name, account in parts.accounts.items():
        yield from _account(f"accounts.{name}", account, parts.names["routes"])


def _names(parts: Parts) -> Iterator[Problem]:
    for section, names in parts.names.items():
        form, write = _FORM_OF_NAMES[section]
        for name in names:
            if form.fullmatch(name) is None:
                yield Problem(f"{section}.{name}", "has an unusable name", f"write {write}")
            if name == SIMULATOR and section in ("credentials", "routes"):
                what = "has the name of what renders for the environment test"
                yield Problem(f"{section}.{name}", what, "give it another name")


def _credentials(parts: Parts, kinds: Mapping[str, Kind]) -> Iterator[Problem]:
    for name, credential in parts.credentials.items():
        place = f"credentials.{name}"
        if credential.provider not in kinds:
            yield Problem(
                f"{place}.provider", f"is {credential.provider}, which is no provider", _one_of(kinds)
            )
        else:
            yield from _of_kind(place, credential, kinds[credential.provider])
        keys = [key.name for key in credential.keys]
        for twice in sorted({key for key in keys if keys.count(key) > 1}):
            yield Problem(f"{place}.keys", f"has two keys named {twice}", "give one another name")


def _of_kind(place: str, credential: CredentialForm, kind: Kind) -> Iterator[Problem]:
    if kind.base_url is None and credential.base_url is None:
        what = f"is missing, and {kind.name} has no public address"
        yield Problem(f"{place}.base_url", what, "write one such as https://api.example.com/v1")
    if credential.callback_secret is not None and not kind.takes_callback_secret:
        what = f"is of no use: {kind.name} signs no callbacks with a secret"
        yield Problem(f"{place}.callback_secret", what, "take it out")


def _route(place: str, route: RouteForm, parts: Parts, kinds: Mapping[str, Kind]) -> Iterator[Problem]:
    if route.credential not in parts.names["credentials"]:
        credentials = parts.names["credentials"]
        yield Problem(
            f"{place}.credential", f"is {route.credential}, which is no credential here", _one_of(credentials)
        )
    kind = _kind_of(route, parts, kinds)
    if kind is None:
        return
    features = route.features.less_than(kind.features)
    for name in features.beyond(kind.features):
        has = _words(getattr(kind.features, name))
        yield Problem(
            f"{place}.features.{name}", f"goes beyond what {kind.name} can do", f"write {has}, or less"
        )
    yield from _costs(f"{place}.cost_usd_per_second", route, features)
    for option, value in route.options.items():
        if option not in kind.options:
            yield Problem(f"{place}.options.{option}", f"is no option of {kind.name}", _one_of(kind.options))
        elif value not in kind.options[option]:
            yield Problem(f"{place}.options.{option}", f"is {value}", _one_of(kind.options[option]))


def _costs(place: str, route: RouteForm, features: Features) -> Iterator[Problem]:
    for missing in sorted(features.resolutions - set(route.cost_usd_per_second)):
        what = f"has no cost of {missing}, which the route can do"
        yield Problem(place, what, f"write it, or take {missing} out of the route's features.resolutions")
    for unused in sorted(set(route.cost_usd_per_second) - features.resolutions):
        what = "is a cost of what the route cannot do"
        yield Problem(f"{place}.{unused}", what, f"write {_words(features.resolutions)} only")


def _model(place: str, model: ModelForm, parts: Parts, kinds: Mapping[str, Kind]) -> Iterator[Problem]:
    named = [choice.route for choice in model.routes]
    for name in dict.fromkeys(named):
        if name not in parts.names["routes"]:
            yield Problem(
                f"{place}.routes", f"has the route {name}, which is not here", _one_of(parts.names["routes"])
            )
        if named.count(name) > 1:
            yield Problem(f"{place}.routes", f"has the route {name} twice", "keep one")
    routes = [parts.routes[name] for name in named if name in parts.routes]
    kinds_of = [_kind_of(route, parts, kinds) for route in routes]
    if len(routes) < len(named) or None in kinds_of:
        return  # what is wrong with a route was said
    has = [
        route.features.less_than(kind.features)
        for route, kind in zip(routes, kinds_of, strict=True)
        if kind is not None
    ]
    yield from _promises(place, model, has)


def _promises(place: str, model: ModelForm, has: list[Features]) -> Iterator[Problem]:
    """Yields what a model promises and no route can do."""
    duration = model.duration_seconds
    promised: dict[str, list[tuple[str | int, bool]]] = {
        "resolutions": [
            (each, any(each in route.resolutions for route in has)) for each in model.resolutions
        ],
        "aspect_ratios": [
            (each, any(each in route.aspect_ratios for route in has)) for each in model.aspect_ratios
        ],
        "duration_seconds": [
            (each, any(each in route.seconds for route in has)) for each in (duration.min, duration.max)
        ],
        "capabilities": [(each, any(map(HELD_BY[each], has))) for each in model.capabilities],
    }
    for key, values in promised.items():
        for value, is_held in dict(values).items():
            if not is_held:
                what = f"promises {value}, which none of the model's routes can do"
                yield Problem(f"{place}.{key}", what, "take it out, or add a route that can")


def _account(place: str, account: AccountForm, routes: frozenset[str]) -> Iterator[Problem]:
    for key, named in (("only", account.only or frozenset()), ("never", account.never)):
        for name in sorted(named - routes):
            yield Problem(f"{place}.{key}", f"has the route {name}, which is not here", _one_of(routes))
    allowed = (routes if account.only is None else account.only) - account.never
    if not allowed:
        yield Problem(place, "leaves the account no route", "write fewer under never, or more under only")


def _kind_of(route: RouteForm, parts: Parts, kinds: Mapping[str, Kind]) -> Kind | None:
    credential = parts.credentials.get(route.credential)
    return None if credential is None else kinds.get(credential.provider)


def _one_of(names: Iterable[str]) -> str:
    known = sorted(names)
    return f"write one of {', '.join(known)}" if known else "take it out: there is none"


def _words(has: frozenset[str] | frozenset[int] | int) -> str:
    if isinstance(has, bool):
        return str(has).lower()
    if isinstance(has, frozenset):
        return ", ".join(str(each).lower() for each in sorted(has))
    return str(has)
