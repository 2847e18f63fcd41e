"""The client for everything but deliveries: requests go byte for byte where they are meant to go, once."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

from services.common.egress.policy import ForbiddenUrlError, UrlPolicy
from services.common.egress.sockets import CheckedResolver, LookUp, family_of, open_checked_sockets

KEEPALIVE_SECONDS = 2.0
REQUEST_TIMEOUT_SECONDS = 15.0


class EncodedBodyError(aiohttp.ClientPayloadError):
    """A compressed answer to a request that did not ask for one. It was not read."""


class _Resolver(AbstractResolver):
    """Gives aiohttp checked addresses."""

    def __init__(self, checked: CheckedResolver) -> None:
        self._checked = checked

    @override
    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=family_of(address),
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self._checked.addresses(host, port)
        ]

    @override
    async def close(self) -> None:
        pass


@asynccontextmanager
async def open_egress_session(
    policy: UrlPolicy,
    *,
    connections_max: int,
    look_up: LookUp | None = None,
    reads_encoded: bool = False,
) -> AsyncIterator[aiohttp.ClientSession]:
    """Opens a client whose every connection goes to a checked address; a redirect is an error, never followed.

    Requests raise ForbiddenUrlError, or aiohttp's own errors, for which a look-up's failure keeps its errno. No body is
    ever decompressed: one that is encoded is an EncodedBodyError, or `reads_encoded` as it came. Cookies and proxy
    variables are ignored. Nothing is sent twice. Requests take their address from `outgoing_url`.
    """
    async with AsyncExitStack() as stack:
        resolver, open_socket = await stack.enter_async_context(open_checked_sockets(policy, look_up))
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(resolver),
            use_dns_cache=False,
            socket_factory=open_socket,
            limit=connections_max,
            keepalive_timeout=KEEPALIVE_SECONDS,
        )
        refusals = aiohttp.TraceConfig()
        refusals.on_request_redirect.append(_refuse_redirect)
        if not reads_encoded:
            refusals.on_request_end.append(_refuse_encoded)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=connector,
                trace_configs=[refusals],
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS),
                auto_decompress=False,
                skip_auto_headers=("Accept-Encoding",),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        )
        # Else it sends what it takes for idempotent twice, over a kept connection that was closed. It has no option.
        session._retry_connection = False  # noqa: SLF001
        yield session


async def _refuse_redirect(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, redirect: aiohttp.TraceRequestRedirectParams
) -> None:
    redirect.response.close()
    raise ForbiddenUrlError("must not redirect")


async def _refuse_encoded(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, end: aiohttp.TraceRequestEndParams
) -> None:
    encoding = end.response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        end.response.close()
        raise EncodedBodyError(f"the body is encoded ({encoding[:20]!r}); only plain bodies are read")
