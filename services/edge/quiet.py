"""Creations of keys that send few of them go past those of busy keys, so that they are not refused for what these send."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from services.edge.clusters import CREATIONS_PRIORITY
from services.edge.extension import Config, named, switched
from services.edge.floods import BUSY, BUSY_MARKER, busy_marker
from services.edge.settings import EdgeSettings

CHOICE: Final = "choice"
LUA: Final = Path(__file__).with_name("quiet.lua")


def quiet_filters(settings: EdgeSettings) -> list[Config]:
    """Returns the filters that mark a creation of a busy key, and choose its route again. They run where a route says so."""
    per_key = settings.quiet_creations_per_second_per_key
    if not per_key:
        return []
    choice = named(
        CHOICE, "extensions.filters.http.lua.v3.Lua", default_source_code={"inline_string": source()}
    )
    return [busy_marker(per_key, most=_quiet_most(settings)), {**choice, "disabled": True}]


def source() -> str:
    """Returns what Envoy runs: the name of the mark, and the file."""
    return f'local BUSY = "{BUSY}"\n{LUA.read_text(encoding="utf-8")}'


def quiet_apart(routes: Iterable[Config], settings: EdgeSettings) -> list[Config]:
    """Returns the routes with two for each that creates: marked creations share its limit, and the others have that of reads."""
    if not settings.quiet_creations_per_second_per_key:
        return list(routes)
    return [each for route in routes for each in _apart(route)]


def _apart(route: Config) -> list[Config]:
    if route.get("route", {}).get("priority") != CREATIONS_PRIORITY:
        return [route]
    own = {
        **route["typed_per_filter_config"],
        **{name: switched(on=True) for name in (BUSY_MARKER, CHOICE)},
    }
    match, action = route["match"], route["route"]
    marked = {**match, "headers": [*match.get("headers", ()), {"name": BUSY, "present_match": True}]}
    unlimited = {name: value for name, value in action.items() if name != "priority"}
    return [
        {**route, "match": marked, "request_headers_to_remove": [BUSY], "typed_per_filter_config": own},
        {**route, "route": unlimited, "typed_per_filter_config": own},
    ]


def _quiet_most(settings: EdgeSettings) -> int:
    """Returns how many a second may pass in all. As many keys as one likes could each be quiet: then they are not apart."""
    return max(1, settings.creations_at_once // 2)
