"""Settings come from the environment, once, at start. All problems are told together."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError


class Settings(BaseModel):
    """Base of every process's settings: immutable, and strangers are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnySettings = TypeVar("AnySettings", bound=Settings)


class SettingsError(Exception):
    """The environment does not fit. The message has one line for each problem: `NAME: what is wrong`."""


def load_settings(kind: type[AnySettings], *, prefix: str, environment: Mapping[str, str]) -> AnySettings:
    """Reads every variable that begins with `prefix` into `kind`.

    `PREFIX_NAME_FILE` names a file that holds the value of `PREFIX_NAME`, for secrets.
    Raises SettingsError, which lists every problem, unknown names included.
    """
    problems: list[str] = []
    values: dict[str, str] = {}
    for variable, value in environment.items():
        if not variable.startswith(prefix):
            continue
        name = variable.removeprefix(prefix).lower()
        if name.endswith("_file") and name not in kind.model_fields:
            name = name.removesuffix("_file")
            try:
                values[name] = Path(value).read_text(encoding="utf-8").strip()
            except OSError as error:
                problems.append(f"{variable}: cannot read {value}: {error.strerror}")
        else:
            values[name] = value
    try:
        settings = kind.model_validate(values)
    except ValidationError as error:
        problems += [f"{prefix}{_path(entry['loc'])}: {_reason(entry)}" for entry in error.errors()]
        raise SettingsError("\n".join(sorted(problems))) from None
    if problems:
        raise SettingsError("\n".join(sorted(problems)))
    return settings


def _path(location: tuple[int | str, ...]) -> str:
    return "_".join(str(part) for part in location).upper()


def _reason(entry: Mapping[str, object]) -> str:
    if entry["type"] == "extra_forbidden":
        return "unknown setting"
    if entry["type"] == "missing":
        return "required"
    return str(entry["msg"])
