"""Servers that sign their addresses get them back byte for byte. Witness: the bytes on the wire."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from services.common.clock import utc_now
from services.common.egress.policy import UrlPolicy, parse_networks
from services.common.egress.session import open_egress_session
from services.common.egress.urls import check_url, outgoing_url
from services.webhooks.clients import open_receivers
from services.webhooks.domain import Answer
from tests.integration.common.raw_receiver import RawReceiver, open_raw_receiver

LOOPBACK = UrlPolicy(private_targets_allowed=parse_networks("127.0.0.0/8"))
SENDABLE = [chr(code) for code in range(0x21, 0x7F) if chr(code) not in "#\\"]
KNOWN = (
    "/%2F/%2f/%7E/~/%41/A", "/a/./b/../c/..", "//", "/..", "/?", "/a?", "/?x=+&y=%20&&=", "/%zz%", "/a;b=c,d",
    "/sig?X-Amz-Credential=AK%2F20260101%2Fus-east-1&X-Amz-SignedHeaders=host", '/[]{}|^`"<>', "/%0D%0Ax",
)  # fmt: skip


def _addresses() -> list[str]:
    made = ["/" + "".join(secrets.choice(SENDABLE) for _ in range(secrets.randbelow(40))) for _ in range(300)]
    return [*KNOWN, *made]


@asynccontextmanager
async def _opened() -> AsyncIterator[tuple[RawReceiver, aiohttp.ClientSession]]:
    async with open_raw_receiver() as receiver, open_egress_session(LOOPBACK, connections_max=4) as session:
        yield receiver, session


async def test_deliveries_go_to_the_very_address() -> None:
    targets = _addresses()
    async with (
        open_raw_receiver() as receiver,
        open_receivers(LOOPBACK, clock=utc_now, connections_max=4) as receivers,
    ):
        for target in targets:
            check_url(receiver.origin + target, LOOPBACK)
            answer = await receivers.post(f"{receiver.origin}{target}#fragment", headers={}, body=b"{}")
            assert answer == Answer(status=200, excerpt=b"OK")

    assert receiver.targets == [target.encode() for target in targets]
    assert receiver.requests[0].split(b"\r\n")[:2] == [
        b"POST " + targets[0].encode() + b" HTTP/1.1",
        b"Host: 127.0.0.1:%d" % receiver.port,
    ]


async def test_everything_else_is_asked_for_at_the_very_address() -> None:
    targets = _addresses()
    async with _opened() as (receiver, session):
        for target in targets:
            async with session.get(outgoing_url(receiver.origin + target), allow_redirects=False):
                pass

    assert receiver.targets == [target.encode() for target in targets]


async def test_many_at_once_do_not_mix() -> None:
    async with (
        open_raw_receiver() as receiver,
        open_receivers(LOOPBACK, clock=utc_now, connections_max=8) as receivers,
    ):
        bodies = [b"%d" % index for index in range(200)]
        posts = [
            receivers.post(f"{receiver.origin}/{body.decode()}", headers={}, body=body) for body in bodies
        ]
        await asyncio.gather(*posts)

    sent = {request.split(b" ", 2)[1]: request.rpartition(b"\r\n\r\n")[2] for request in receiver.requests}
    assert sent == {b"/" + body: body for body in bodies}
    assert receiver.connection_count <= 8
