"""Calls over HTTP, to the edge of any installation: for a server on the customer's own machine."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from services.mcp.calls import CALL_SECONDS, Calls, Refused
from services.mcp.methods import Method


@asynccontextmanager
async def open_calls(base_url: str) -> AsyncIterator[Calls]:
    """Opens the way to an edge, `https://host`."""
    async with httpx2.AsyncClient(base_url=base_url) as client:
        yield _Calls(client)


class _Calls:
    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def __call__(
        self,
        method: Method,
        fields: Mapping[str, Any],
        *,
        key: str,
        idempotency_key: str = "",
        seconds: float = CALL_SECONDS,
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {key}"}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        path, left = _addressed(method.template, fields)
        try:
            answer = await self._client.request(
                method.verb.upper(),
                path,
                headers=headers,
                timeout=seconds,
                params=left if method.verb == "get" else None,
                json=None if method.verb == "get" else left,
            )
        except httpx2.HTTPError as error:
            raise Refused(
                "internal_error", f"{self._client.base_url} does not answer: {type(error).__name__}."
            ) from error
        if answer.status_code != httpx2.codes.OK:
            raise _refused(answer)
        found: dict[str, Any] = answer.json()
        return found


def _addressed(template: str, fields: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns the path, and the fields that do not stand in it."""
    left = dict(fields)
    path = re.sub(r"\{(\w+)\}", lambda name: _part(str(left.pop(name[1]))), template)
    return path, left


def _part(text: str) -> str:
    if not re.fullmatch(r"[\w-]{1,64}", text, re.ASCII):
        raise Refused("invalid_request", f"{text[:64]!r} is not the id of a video.")
    return text


def _refused(answer: httpx2.Response) -> Refused:
    try:
        said = answer.json()["error"]
        code, message = str(said["code"]), str(said["message"])
    except (ValueError, KeyError, TypeError):
        code, message = (
            "internal_error",
            f"The server answered {answer.status_code}, which is no answer of the API.",
        )
    return Refused(code, message, retry_after_seconds=answer.headers.get("retry-after", ""))
