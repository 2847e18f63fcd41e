"""The only place that makes an outgoing URL, so that every address is requested byte for byte as it was given.

URL libraries rewrite what looks equal to them: `%2F`, `%7E`, dot segments, an empty query. To a server that signs its
addresses they are different.
"""

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import quote, urlencode, urljoin

from pydantic import BeforeValidator
from yarl import URL

from services.common.egress.policy import MALFORMED, ForbiddenUrlError, Origin, UrlPolicy, check_host

URL_LENGTH_MAX = 2_048
DATA_URL = "data:"
NO_DATA_URL = "must be an http or https address, not the file itself: upload the file with POST /v1/uploads, and name its url"
"""What references are told that begin with DATA_URL."""

_SCHEMES = ("http://", "https://")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_USER = re.compile(r"(?i:https?)://[^/?#]*@")
_FORM = re.compile(
    r"(?P<scheme>(?i:https?))://(?P<authority>(?:\[[0-9a-fA-F:.]+\]|[^][:/?#]+)(?::[0-9]{1,5})?)"
    r"(?P<target>(?:[/?][^#]*)?)(?:#.*)?",
    re.ASCII,
)
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def outgoing_url(url: str, query: Mapping[str, str] | None = None) -> URL:
    """Returns what requests this http or https address: its path and query stay as they are, the fragment stays here.

    Only a host outside ASCII is rewritten (IDNA), and so are such characters elsewhere, which stand for their UTF-8
    bytes (RFC 3987). `query` is added to what the address has. Raises ForbiddenUrlError for what cannot be sent.
    """
    parts = _parts(url)
    target = quote(parts["target"], safe=_PRINTABLE)
    if query:
        target += ("&" if "?" in target else "?") + urlencode(query)
    if not target.startswith("/"):
        target = f"/{target}"
    try:
        origin = URL(f"{parts['scheme']}://{parts['authority']}")
        # As a path the target is left alone altogether; as a query a lone question mark would be lost.
        outgoing = URL.build(scheme=origin.scheme, authority=origin.raw_authority, path=target, encoded=True)
        is_whole = bool(outgoing.raw_host and outgoing.port)
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ForbiddenUrlError(MALFORMED)
    return outgoing


def check_form(url: str) -> None:
    """Refuses an address that cannot be requested exactly as it is written. Raises ForbiddenUrlError."""
    if not _parts(url)["target"].isascii():
        raise ForbiddenUrlError("must have only ASCII characters after the host: write others as %-escapes")


def check_url(url: str, policy: UrlPolicy) -> None:
    """Refuses an address that cannot be requested as it is, or is surely not public. Looks up no name, so it is fast.

    Raises ForbiddenUrlError.
    """
    if len(url) > URL_LENGTH_MAX:
        raise ForbiddenUrlError(f"must have at most {URL_LENGTH_MAX} characters")
    check_form(url)
    # What is checked here is what would be connected to.
    outgoing = outgoing_url(url)
    check_host((outgoing.raw_host or "").removesuffix("."), outgoing.port or 0, policy)


def origin_of(url: str) -> Origin:
    """Returns what a client of an http or https address connects to. Raises ValueError."""
    try:
        outgoing = outgoing_url(url)
    except ForbiddenUrlError:
        raise ValueError(f"{url!r} is not an address such as https://files.example.com") from None
    return outgoing.raw_host or "", outgoing.port or 0


def has_same_origin(url: str, other: str) -> bool:
    """Returns whether two addresses agree in scheme, host and port. An address that cannot be requested has no origin."""
    try:
        first, second = outgoing_url(url), outgoing_url(other)
    except ForbiddenUrlError:
        return False
    return (first.scheme, first.raw_host, first.port) == (second.scheme, second.raw_host, second.port)


def redirect_target(url: str, location: str) -> str:
    """Returns where an answer from `url` sends its client. What the answer spells out stays as it is."""
    if _SCHEME.match(location):
        return location
    parts = _parts(url)
    if location.startswith("//"):
        return f"{parts['scheme']}:{location}"
    if location.startswith("/"):
        return f"{parts['scheme']}://{parts['authority']}{location}"
    return urljoin(url, location)


def parse_origins(urls: str) -> frozenset[Origin]:
    """Returns the origins of a comma-separated list such as `http://simulator:8080`. Raises ValueError."""
    return frozenset(origin_of(url.strip()) for url in urls.split(",") if url.strip())


Origins = Annotated[frozenset[Origin], BeforeValidator(parse_origins)]
"""A setting that lists hosts with their ports."""


def _parts(url: str) -> dict[str, str]:
    if not url.isprintable() or " " in url or "\\" in url:
        raise ForbiddenUrlError("must not contain spaces, control characters or backslashes")
    if not url[:8].lower().startswith(_SCHEMES):
        raise ForbiddenUrlError("must be an http or https address")
    if _USER.match(url):
        raise ForbiddenUrlError("must not contain a user name or password")
    form = _FORM.fullmatch(url)
    if form is None:
        raise ForbiddenUrlError(MALFORMED)
    return form.groupdict()
