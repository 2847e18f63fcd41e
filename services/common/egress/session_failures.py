"""How a failed request of a session is described: as others are, besides what only aiohttp raises."""

from typing import Final

import aiohttp

from services.common.egress.failures import (
    BROKEN,
    CLOSED,
    CUT_SHORT,
    NO_HTTP,
    UNREACHABLE,
    TextByClass,
    failure_text,
)
from services.common.egress.session import EncodedBodyError

_BY_CLASS: Final[tuple[TextByClass, ...]] = (
    (aiohttp.ConnectionTimeoutError, "no connection in time"),
    (aiohttp.ClientConnectorDNSError, "the host name does not resolve"),
    (aiohttp.ClientSSLError, "no secure connection could be negotiated"),
    (aiohttp.ServerFingerprintMismatch, "the certificate is not trusted"),
    (aiohttp.ServerDisconnectedError, CLOSED),
    (aiohttp.ClientConnectionResetError, CLOSED),
    (EncodedBodyError, "the answer is compressed, although compression was not requested"),
    (aiohttp.ClientPayloadError, CUT_SHORT),
    (aiohttp.ClientResponseError, NO_HTTP),
    (aiohttp.InvalidURL, "the address is malformed"),
)
"""The first match wins."""


def session_failure_text(error: BaseException) -> str:
    """Returns the sentence for what a request of `open_egress_session` raised."""
    is_unconnected = isinstance(error, aiohttp.ClientConnectorError)
    return failure_text(error, _BY_CLASS, otherwise=UNREACHABLE if is_unconnected else BROKEN)
