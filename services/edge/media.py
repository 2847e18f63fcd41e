"""Media files served from a folder, for stacks without a bucket or CDN."""

from pathlib import Path
from typing import Final

from services.edge.extension import Config, header, named, switched
from services.edge.transcoding import TRANSCODER

FILE_SERVER: Final = "envoy.filters.http.file_server"
FILE_HEADERS: Final = "file_headers"
CONTENT_TYPES: Final = {
    "bmp": "image/bmp",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "mp4": "video/mp4",
    "png": "image/png",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "webp": "image/webp",
}
"""Results, and the images that a request may refer to."""
NAME: Final = "[A-Za-z0-9_-]+"
"""Without dots neither the way up nor a hidden or half-written file can be named."""


def media_filters(folder: Path, path: str) -> list[Config]:
    """Returns the filters that answer `path` with files of `folder`, where a route switches them on."""
    headers = (
        header("cache-control", "public, max-age=31536000, immutable"),
        header("x-content-type-options", "nosniff"),
    )
    file_headers = named(
        FILE_HEADERS,
        "extensions.filters.http.header_mutation.v3.HeaderMutation",
        mutations={"response_mutations": [{"append": entry} for entry in headers]},
    )
    file_server = named(
        FILE_SERVER,
        "extensions.filters.http.file_server.v3.FileServerConfig",
        manager_config={"thread_pool": {}},
        path_mappings=[{"request_path_prefix": path, "file_path_prefix": str(folder.resolve())}],
        content_types=CONTENT_TYPES,
    )
    return [{**each, "disabled": True} for each in (file_headers, file_server)]


def media_route(path: str) -> Config:
    """Returns the route of files that can be media of ours. Everything else below `path` is 404."""
    files = rf"{path}/({NAME}/)*{NAME}\.({'|'.join(CONTENT_TYPES)})"
    reads = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
    switches = {FILE_HEADERS: True, FILE_SERVER: True, TRANSCODER: False}
    return {
        "name": f"GET {path}/*",
        "match": {"safe_regex": {"regex": files}, "headers": [reads]},
        "direct_response": {"status": 404},
        "typed_per_filter_config": {name: switched(on=on) for name, on in switches.items()},
    }
