import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from services.simulator.errors import ApiError, internal_error

API_PATH: Final = "/api/v3"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_ID: Final = web.RequestKey("request_id", str)

log = logging.getLogger(__name__)


async def show_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """Puts the id that error messages carry on every response."""
    response.headers["X-Request-Id"] = request[REQUEST_ID]


def guard(api_key: str) -> Middleware:
    """Names every request, asks for the key under the API's path, and turns what is raised there into JSON."""
    expected = f"Bearer {api_key}".encode()

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = f"021{secrets.token_hex(20)}"
        if not request.path.startswith(f"{API_PATH}/"):
            return await handler(request)
        try:
            given = request.headers.get("Authorization", "").encode()
            if not hmac.compare_digest(given, expected):
                message = "the API key or AK/SK in the request is missing or invalid."
                raise ApiError(401, "AuthenticationError", message)
            return await handler(request)
        except ApiError as error:
            refusal = error
        except web.HTTPException as error:
            refusal = ApiError(error.status, f"{error.reason.replace(' ', '')}", f"{error.reason}.")
        except Exception:
            log.exception("request %s failed", request[REQUEST_ID])
            refusal = internal_error()
        body = refusal.envelope(request[REQUEST_ID])
        return web.json_response(body, status=refusal.status, headers=refusal.headers)

    return guarded
