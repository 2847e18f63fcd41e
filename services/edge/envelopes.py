"""Whose error envelope a refusal of the edge itself has: that of the path's contract, or else that of the key's."""

import re
from typing import Final

from services.common.auth.key_forms import KEY_PREFIXES
from services.edge.extension import Config

NEXTAPI_PATH: Final = "/v1/video/generations"
SEEDANCEE2_PATHS: Final = ("/v1/models", "/v1/usage", "/v1/videos")
"""The paths at and below which only keys of one contract are let in. envelope.lua knows them too."""
PATH_HEADERS: Final = (":path", "x-envoy-original-path")
"""The transcoder has put its own path over the customer's."""


def of_nextapi() -> Config:
    """Returns the filter of local replies for customers of NextAPI. Everybody else has Seedancee2's envelope."""
    on_its_path = [_header(name, {"safe_regex": {"regex": _below(NEXTAPI_PATH)}}) for name in PATH_HEADERS]
    elsewhere = [
        _header(
            name,
            {"safe_regex": {"regex": _below(*SEEDANCEE2_PATHS)}},
            invert_match=True,
            treat_missing_header_as_empty=True,
        )
        for name in PATH_HEADERS
    ]
    return _any(*on_its_path, _all(_with_its_key(), *elsewhere))


def _with_its_key() -> Config:
    """Returns what matches as `presented_key` reads a call, and as far as a key names its contract by its form."""
    prefixes = "|".join(
        re.escape(prefix) for (contract, _), prefix in KEY_PREFIXES.items() if contract == "nextapi"
    )
    bearer = _header("authorization", {"safe_regex": {"regex": f"(?i:bearer) +({prefixes}).*"}})
    no_bearer = {
        "header_filter": {"header": {"name": "authorization", "present_match": True, "invert_match": True}}
    }
    plain = _header("x-api-key", {"safe_regex": {"regex": f" *({prefixes}).*"}})
    return _any(bearer, _all(no_bearer, plain))


def _below(*paths: str) -> str:
    return f"({'|'.join(paths)})([/?].*)?"


def _header(name: str, match: Config, **how: bool) -> Config:
    return {"header_filter": {"header": {"name": name, "string_match": match, **how}}}


def _any(*filters: Config) -> Config:
    return {"or_filter": {"filters": list(filters)}}


def _all(*filters: Config) -> Config:
    return {"and_filter": {"filters": list(filters)}}
