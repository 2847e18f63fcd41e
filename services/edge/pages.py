"""The pages of the site: each file is an answer of the edge itself, with its headers, and Envoy keeps it in memory."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from services.common.site import MANIFEST
from services.edge.extension import Config, header, switched
from services.edge.floods import MEASURED
from services.edge.tracing import NEVER_TRACED
from services.edge.transcoding import TRANSCODER

READS: Final[Config] = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
TAKES_GZIP: Final[Config] = {
    "name": "accept-encoding",
    "string_match": {"safe_regex": {"regex": r"(.*,)?\s*gzip\s*(;\s*q=(1(\.0*)?|0\.0*[1-9]\d*)\s*)?(,.*)?"}},
}
ALONE: Final = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
POLICIES: Final = {
    "page": f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; {ALONE}",
    # The reference writes styles into itself, and asks the API.
    "reference": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    f"font-src 'self' data:; media-src 'self'; connect-src 'self'; {ALONE}",
}
FOREVER: Final = "public, max-age=31536000, immutable"
FOR_A_MINUTE: Final = "public, max-age=60"
ENVOY_ANSWER_BYTES_MAX: Final = 4096
"""What an answer of a route may have unless it is told otherwise."""


@dataclass(frozen=True, kw_only=True)
class Pages:
    """What the edge serves of a site."""

    routes: tuple[Config, ...] = ()
    answer_bytes_max: int = ENVOY_ANSWER_BYTES_MAX

    @property
    def settings(self) -> Config:
        """What the route configuration has to allow."""
        if self.answer_bytes_max <= ENVOY_ANSWER_BYTES_MAX:
            return {}
        return {"max_direct_response_body_size_bytes": self.answer_bytes_max}


def pages(site: Path | None) -> Pages:
    """Returns the pages of the site in this folder, none without one."""
    if site is None:
        return Pages()
    served = json.loads((site / MANIFEST).read_text(encoding="utf-8"))["files"]
    # What asks for a type stands before what is for everybody else.
    served.sort(key=lambda each: each["accept"] is None)
    files = [site / name for each in served for name in (each["file"], each["packed"]) if name]
    routes = [route for each in served for route in _routes(site.absolute(), each)]
    return Pages(routes=tuple(routes), answer_bytes_max=max(file.stat().st_size for file in files))


def _routes(site: Path, served: Mapping[str, Any]) -> Iterable[Config]:
    known = {"name": "if-none-match", "string_match": {"contains": f'"{served["tag"]}"'}}
    yield _route(served, {"status": 304}, when=[known])
    if served["packed"] not in {None, served["file"]}:
        yield _route(served, _file(site / served["packed"]), when=[TAKES_GZIP], packed=True)
    # Whoever does not say what they can unpack takes anything.
    yield _route(served, _file(site / served["file"]), packed=served["packed"] == served["file"])


def _route(
    served: Mapping[str, Any], answer: Config, *, when: Iterable[Config] = (), packed: bool = False
) -> Config:
    packing = [header("content-encoding", "gzip")] if packed else []
    return {
        "name": f"GET {served['path']}",
        "match": {**_path(served), "headers": [READS, *_accepting(served), *when]},
        "direct_response": answer,
        "response_headers_to_add": [*_headers(served), *packing],
        # Envoy names one whenever the status begins with 3.
        "response_headers_to_remove": ["location"],
        "tracing": NEVER_TRACED,
        "typed_per_filter_config": {name: switched(on=False) for name in (MEASURED, TRANSCODER)},
    }


def _path(served: Mapping[str, Any]) -> Config:
    path = served["path"]
    if path == "/" or not served["type"].startswith("text/html"):
        return {"path": path}
    return {"safe_regex": {"regex": f"{re.escape(path)}/?"}}


def _accepting(served: Mapping[str, Any]) -> list[Config]:
    if served["accept"] is None:
        return []
    return [{"name": "accept", "string_match": {"contains": served["accept"]}}]


def _headers(served: Mapping[str, Any]) -> list[Config]:
    headers = {
        "cache-control": FOREVER if served["immutable"] else FOR_A_MINUTE,
        "content-security-policy": POLICIES[served["policy"]],
        "content-type": served["type"],
        # Weak: packed or not, it is the same.
        "etag": f'W/"{served["tag"]}"',
        "referrer-policy": "no-referrer",
        "vary": "accept, accept-encoding",
        "x-content-type-options": "nosniff",
    }
    return [header(name, value) for name, value in headers.items()]


def _file(path: Path) -> Config:
    return {"status": 200, "body": {"filename": str(path)}}
