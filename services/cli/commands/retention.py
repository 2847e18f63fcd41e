"""How days of retention are typed and shown."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from services.cli.printing import fields_of

if TYPE_CHECKING:
    from reelgate.admin.v1.retention_service_pb2 import AccountDays

FOREVER, DEFAULT = "forever", "default"
DAYS_MAX = 36_500
KEPT_HEADINGS = ("media days", "content days")


@dataclass(frozen=True)
class OwnDays:
    """Days that were typed."""

    days: int | None
    """0: forever. None: as those of all accounts."""


def own_days(text: str) -> OwnDays:
    """Reads a number of days, `forever` or `default`. A bad one is a usage error."""
    if text in {FOREVER, DEFAULT}:
        return OwnDays(0 if text == FOREVER else None)
    if text.isascii() and text.isdecimal() and 0 < int(text) <= DAYS_MAX:
        return OwnDays(int(text))
    raise typer.BadParameter(f"must be 1 to {DAYS_MAX}, {FOREVER} or {DEFAULT}; it was {text!r}")


def _option(name: str, text: str) -> object:
    return typer.Option(f"--{name}", parser=own_days, metavar=f"N|{FOREVER}|{DEFAULT}", help=text)


MEDIA_DAYS = _option("media-days", "Days after a job's end after which its media are deleted.")
CONTENT_DAYS = _option("content-days", "The same for prompts, references and metadata.")


def chosen(
    before: "AccountDays", *, media_days: OwnDays | None, content_days: OwnDays | None
) -> "AccountDays":
    """Returns the days with those that were typed in place of those before."""
    from reelgate.admin.v1.retention_service_pb2 import AccountDays

    typed = {"media_days": media_days, "content_days": content_days}
    replaced = {name: own.days for name, own in typed.items() if own is not None}
    return AccountDays(**{**fields_of(before), **replaced})


def kept_cells(days: "AccountDays") -> tuple[str, ...]:
    """Returns the days in the order of KEPT_HEADINGS."""
    return tuple(
        DEFAULT if number is None else str(number) if number else FOREVER
        for number in fields_of(days).values()
    )
