"""Looks up host names, in /etc/hosts and at the name servers of /etc/resolv.conf.

All look-ups share one thread, however many names are slow, and an abandoned look-up blocks no other. A failure is
blamed on the name if another name was answered meanwhile, otherwise on our name servers.
"""

import asyncio
import socket
import time
from collections.abc import Sequence

import aiodns

TIMEOUT_SECONDS = 5.0
QUERY_SECONDS = 1.5
"""Until a name server is asked again; then twice as long."""
QUERIES_MAX = 2

_NO_SUCH_NAME = frozenset(
    {aiodns.error.ARES_ENOTFOUND, aiodns.error.ARES_ENODATA, aiodns.error.ARES_EBADNAME}
)


class NameServers:
    """Implements LookUp. Close it at the end."""

    def __init__(
        self, servers: Sequence[str] | None = None, *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        """Asks `servers`, each an address with a port if it is unusual, instead of those that the system names."""
        self._resolver = aiodns.DNSResolver(servers, timeout=QUERY_SECONDS, tries=QUERIES_MAX)
        self._timeout_seconds = timeout_seconds
        self._answered: dict[str, float] = {}
        """When the two names that were answered last were, by name."""

    async def look_up(self, host: str, port: int) -> list[str]:
        """Returns the addresses of a host name, at least one.

        Raises socket.gaierror: EAI_NONAME without any, EAI_FAIL when the fault is the name's, EAI_AGAIN when it may be ours.
        """
        began_at = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._ask(host, port)
        except TimeoutError:
            reason = "name resolution timed out"
        except aiodns.error.DNSError as error:
            if error.args[0] in _NO_SUCH_NAME:
                raise socket.gaierror(socket.EAI_NONAME, "no such name") from None
            reason = str(error.args[1])
        raise socket.gaierror(
            socket.EAI_FAIL if self._answers_others(host, began_at) else socket.EAI_AGAIN, reason
        )

    async def close(self) -> None:
        """Gives up whatever is being looked up."""
        await self._resolver.close()

    async def _ask(self, host: str, port: int) -> list[str]:
        asked = self._resolver.getaddrinfo(host, family=socket.AF_UNSPEC, port=port, type=socket.SOCK_STREAM)
        await asyncio.sleep(0)
        # What is known here, from a file or an earlier answer, says nothing about the name servers.
        is_known = asked.done()
        try:
            found = await asked
        except aiodns.error.DNSError as error:
            if error.args[0] in _NO_SUCH_NAME and not is_known:
                self._note_answer(host)
            raise
        if not is_known:
            self._note_answer(host)
        return [node.addr[0].decode() for node in found.nodes]

    def _note_answer(self, host: str) -> None:
        self._answered.pop(host, None)
        self._answered[host] = time.monotonic()
        if len(self._answered) > 2:
            del self._answered[next(iter(self._answered))]

    def _answers_others(self, host: str, began_at: float) -> bool:
        return any(name != host and at >= began_at for name, at in self._answered.items())
