"""How a failed request is described: sentences that customers read. They name no class and no address."""

import errno
import socket
import ssl
from collections.abc import Iterable
from typing import Final

from services.common.egress.answer import CutShortError, NoHttpError, TooLongError, UnansweredError
from services.common.egress.policy import ForbiddenUrlError

BROKEN: Final = "the connection broke"
UNREACHABLE: Final = "no connection could be made"
CLOSED: Final = "the connection was closed without an answer"
CUT_SHORT: Final = "the answer ended early"
NO_HTTP: Final = "the answer is not HTTP"
LATE: Final = "no answer in time"

TextByClass = tuple[type[BaseException], str]
_BY_CLASS: Final[tuple[TextByClass, ...]] = (
    (socket.gaierror, "the host name does not resolve"),
    (ssl.SSLCertVerificationError, "the certificate is not trusted"),
    (ssl.SSLError, "no secure connection could be negotiated"),
    (UnansweredError, CLOSED),
    (CutShortError, CUT_SHORT),
    (TooLongError, "the answer is too long"),
    (NoHttpError, NO_HTTP),
)
"""The first match wins."""

_BY_CERTIFICATE_FAULT: Final = {
    10: "the certificate has expired",
    18: "the certificate is self-signed",
    19: "the certificate is signed by an authority that is not trusted",
    20: "the certificate is signed by an authority that is not known, or its chain is incomplete",
    62: "the certificate is not valid for this host",
    64: "the certificate is not valid for this address",
}
"""By OpenSSL's X509_V_ERR numbers."""

_BY_ERRNO: Final = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: CLOSED,
    errno.ECONNABORTED: CLOSED,
    errno.EPIPE: CLOSED,
    errno.ETIMEDOUT: "the host does not respond",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "no route to the host's network",
    errno.EADDRNOTAVAIL: "there is no route to this address",
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM), "no connection was available on our side"
    ),
    errno.ENETDOWN: "the network was down on our side",
}


def failure_text(
    error: BaseException, by_class: Iterable[TextByClass] = (), *, otherwise: str = BROKEN
) -> str:
    """Returns the sentence for what went wrong with a request: by its class as here, or else as in `by_class`."""
    if isinstance(error, ForbiddenUrlError):
        return f"the address {error.why}"
    fault = getattr(error, "certificate_error", error)
    by_certificate = _BY_CERTIFICATE_FAULT.get(getattr(fault, "verify_code", 0))
    if by_certificate is not None:
        return by_certificate
    for kind, text in (*_BY_CLASS, *by_class):
        if isinstance(error, kind):
            return text
    number = getattr(error, "errno", None)
    if number in _BY_ERRNO:
        return _BY_ERRNO[number]
    if isinstance(error, TimeoutError):
        return LATE
    return otherwise
