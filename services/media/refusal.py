"""Refusals of the host of media files, in the envelope of the API."""

import json
from collections.abc import Mapping

from aiohttp import web


def refusal(
    status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Returns the answer that says why, and what to change."""
    envelope = {"error": {"code": code, "message": message, "type": "invalid_request_error"}}
    # The edge recognises an envelope by its first bytes.
    text = json.dumps(envelope, separators=(",", ":"))
    return web.Response(status=status, headers=headers, text=text, content_type="application/json")
