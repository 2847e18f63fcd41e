"""What is wrong with a catalogue file, in sentences that say where it is and what to write."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

WRITE = {
    "provider": "the name of a provider, such as ark",
    "keys": "at least one key, such as [{name: main, env: ARK_API_KEY}]",
    "name": "a name, such as main",
    "credential": "the name of one of the credentials",
    "model": "what the provider calls the model",
    "cost_usd_per_second": 'what a second costs in US dollars for each resolution, such as {720p: "0.05"}',
    "routes": "at least one route, such as [{route: NAME}]",
    "route": "the name of one of the routes",
    "credentials": "at least one credential, such as ark: {provider: ark, keys: [{name: main, env: ARK_API_KEY}]}",
    "models": "at least one model",
    "resolutions": "at least one, such as [480p, 720p]",
    "duration_seconds": "such as {min: 4, max: 15}",
    "aspect_ratios": 'at least one, such as ["16:9"]',
    "capabilities": "such as [image_reference], or [] for none",
}
"""What to write under a key that is missing or empty."""


@dataclass(frozen=True)
class Problem:
    """Something that must be corrected."""

    place: str
    what: str
    write: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}; {self.write}"


class CatalogueError(Exception):
    """The catalogue cannot be used. The message has one line for each problem: `place: what is wrong; what to write`."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def place_of(location: Sequence[str | int]) -> str:
    """Returns where something stands, as `routes.ark-pro.model`."""
    return ".".join(map(str, location)) or "file"


def problems_of(
    error: ValidationError, *, at: tuple[str, ...], keys: Mapping[tuple[str, ...], Sequence[str]]
) -> list[Problem]:
    """Returns what is wrong with one part of the file. `keys` has the keys that it may have, by place within it."""
    return [_problem(entry, at=at, keys=keys) for entry in error.errors(include_url=False)]


def _problem(
    entry: ErrorDetails, *, at: tuple[str, ...], keys: Mapping[tuple[str, ...], Sequence[str]]
) -> Problem:
    inside = entry["loc"]
    place = place_of((*at, *inside))
    last = str(inside[-1]) if inside else ""
    match entry["type"]:
        case "extra_forbidden":
            known = keys.get(tuple("*" if isinstance(part, int) else part for part in inside[:-1]), ())
            return Problem(place, "is no key that is known here", f"write one of {', '.join(known)}")
        case "missing":
            return Problem(place, "is missing", f"write {WRITE.get(last, 'it')}")
        case "too_short":
            return Problem(place, "is empty", f"write {WRITE.get(last, 'at least one')}")
        case "value_error":
            what, _, write = entry["msg"].removeprefix("Value error, ").partition("; ")
            return Problem(place, what, write)
        case "literal_error" | "enum":
            expected = entry["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
            return Problem(place, f"is {shown(entry['input'])}", f"write one of {expected}")
        case _:
            message = entry["msg"].removeprefix("Input should be ").removeprefix("a valid ")
            message = message.partition(", unable to parse")[0]
            return Problem(place, f"is {shown(entry['input'])}", f"write {_article(message)}")


def _article(message: str) -> str:
    return {
        "dictionary": "keys and values, as {key: value}",
        "dictionary or instance of": "keys and values, as {key: value}",
        "tuple": "a list, as [a, b]",
        "list": "a list, as [a, b]",
        "integer": "a whole number",
        "boolean": "true or false",
        "string": "a text",
    }.get(message, message[0].lower() + message[1:])


def shown(value: object) -> str:
    """Returns a value of the file as messages show it."""
    text = "empty" if value in ("", None) else str(value) if isinstance(value, str) else type(value).__name__
    text = {"dict": "a group of keys", "list": "a list"}.get(text, text)
    return text if len(text) <= 60 else f"{text[:60]}…"
