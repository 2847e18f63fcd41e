"""What services say behind an answer stands in the head of it: the filter that runs trailing.lua."""

from pathlib import Path
from typing import Final

from services.common.rpc.trailing_headers import COPIED, COPIES, VALUE_LENGTH_MAX
from services.edge.extension import Config, header, named, switched

TRAILING: Final = "trailing"
LUA: Final = Path(__file__).with_name("trailing.lua")


def trailing_filter() -> Config:
    """Returns the filter, which runs only where a route switches it on: it waits for the end of an answer."""
    lua = named(
        TRAILING, "extensions.filters.http.lua.v3.Lua", default_source_code={"inline_string": source()}
    )
    return {**lua, "disabled": True}


def source() -> str:
    """Returns what Envoy runs: what may be copied, and the file."""
    names = ", ".join(f'"{name}"' for name in sorted(COPIED))
    return (
        f"local NAMES = {{ {names} }}\nlocal VALUE_LENGTH_MAX = {VALUE_LENGTH_MAX}\n"
        f"{LUA.read_text(encoding='utf-8')}"
    )


def copying(route: Config) -> Config:
    """Returns a route on which the filter runs, and whose service is told so."""
    return {
        **route,
        "request_headers_to_add": [*route["request_headers_to_add"], header(COPIES, "yes")],
        "typed_per_filter_config": {**route.get("typed_per_filter_config", {}), TRAILING: switched(on=True)},
    }
