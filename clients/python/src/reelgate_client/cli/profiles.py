"""Where keys are kept: profiles, in one file that only its owner can read."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from reelgate_client.cli.exits import AUTHENTICATION, CommandError
from reelgate_client.cli.output import program

DEFAULT = "default"
Profile = Annotated[
    str | None,
    typer.Option("--profile", envvar="REELGATE_PROFILE", help="Which login to use; see `login`."),
]


@dataclass(frozen=True, kw_only=True)
class Login:
    """A key and where it works."""

    api_key: str = field(repr=False)
    base_url: str
    profile: str
    """Empty: from the environment."""


def folder() -> Path:
    """Returns the folder of our files: REELGATE_CONFIG, or `reelgate` in the user's folder of settings."""
    if given := os.environ.get("REELGATE_CONFIG"):
        return Path(given)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "reelgate"


def read(name: str) -> dict[str, Any]:
    """Returns what a file of ours holds; nothing if there is none. Raises CommandError."""
    path = folder() / name
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise CommandError(f"{path} is damaged", advice=f"remove it and run {program()} login") from None
    return found if isinstance(found, dict) else {}


def write(name: str, content: Mapping[str, Any]) -> Path:
    """Replaces a file of ours, at once and readable by its owner only. Returns where it is."""
    from tempfile import NamedTemporaryFile

    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder() / name
    # A temporary file has the mode 0600 from the beginning.
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as draft:
        json.dump(content, draft, indent=1)
    Path(draft.name).replace(path)
    return path


def logins() -> dict[str, Any]:
    """Returns the stored logins by profile."""
    found: dict[str, Any] = read("profiles.json")
    return found


def login(profile: str | None) -> Login:
    """Returns the key to use: of the profile that was asked for, of the environment, or of the default profile.

    Raises CommandError if there is none.
    """
    key, url = os.environ.get("REELGATE_API_KEY", ""), os.environ.get("REELGATE_BASE_URL", "")
    stored = logins()
    if profile is not None and profile not in stored:
        known = ", ".join(stored) or "none"
        raise CommandError(
            f"There is no profile {profile!r}; there are: {known}",
            advice=f"{program()} login --profile {profile}",
        )
    if profile is None and key:
        found = {"api_key": key, "base_url": url or stored.get(DEFAULT, {}).get("base_url", "")}
        return _checked(Login(**found, profile=""))
    if profile is None and DEFAULT not in stored:
        raise CommandError(
            "Nobody is logged in",
            advice=f"{program()} login, or set REELGATE_API_KEY and REELGATE_BASE_URL",
            code=AUTHENTICATION,
        )
    name = profile or DEFAULT
    return _checked(
        Login(api_key=stored[name]["api_key"], base_url=url or stored[name]["base_url"], profile=name)
    )


def connected(profile: str | None) -> Any:
    """Returns a client with the key to use, of the contract that the key is of."""
    from reelgate_client import connect

    found = login(profile)
    return connect(found.api_key, base_url=found.base_url)


def contract_of(client: Any) -> str:
    """Returns `seedancee2` or `nextapi`."""
    return str(client.contract.name.lower())


def _checked(found: Login) -> Login:
    if not found.base_url:
        raise CommandError("It is not known where the API is", advice="set REELGATE_BASE_URL")
    return found
