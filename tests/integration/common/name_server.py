"""A real name server on loopback that changes its mind, and a look-up that asks it (RFC 1035)."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address

from typing_extensions import override

from services.common.egress.sockets import LookUp
from tests.patience import PATIENCE_SECONDS

A, CNAME, AAAA = 1, 5, 28
_QUERY, _RECURSIVE_ANSWER = 0x0100, 0x8180
_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_INTERNET = 1


class NameServer(asyncio.DatagramProtocol):
    """Answers each query for a name with the next of its turns: addresses, or other names that it follows.

    Names that begin with `silent` get no answer.
    """

    def __init__(self, turns: Mapping[str, Sequence[Sequence[str]]], *, otherwise: Sequence[str]) -> None:
        self._turns = turns
        self._otherwise = otherwise
        self.transport: asyncio.DatagramTransport | None = None
        self.query_counts: Counter[tuple[str, int]] = Counter()
        self.silence_count = 0

    @property
    def address(self) -> str:
        """Where it answers: `host:port`."""
        assert self.transport is not None
        host, port = self.transport.get_extra_info("sockname")
        return f"{host}:{port}"

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        name, question_end = _read_name(data, _HEADER.size)
        (kind,) = struct.unpack_from("!H", data, question_end)
        if name.startswith("silent"):
            self.silence_count += 1
            return
        records = self._records(name, kind)
        header = _HEADER.pack(int.from_bytes(data[:2]), _RECURSIVE_ANSWER, 1, len(records), 0, 0)
        question = data[_HEADER.size : question_end + 4]
        assert self.transport is not None
        self.transport.sendto(header + question + b"".join(records), addr)

    def _records(self, name: str, kind: int) -> list[bytes]:
        turns = self._turns.get(name, [self._otherwise])
        turn = turns[self.query_counts[name, kind] % len(turns)]
        self.query_counts[name, kind] += 1
        records = []
        for value in turn:
            if value in self._turns or value[0].isalpha():
                records += [_record(name, CNAME, _name_bytes(value)), *self._records(value, kind)]
            elif kind == (AAAA if ":" in value else A):
                records.append(_record(name, kind, ip_address(value).packed))
        return records


@asynccontextmanager
async def open_name_server(
    turns: Mapping[str, Sequence[Sequence[str]]], *, otherwise: Sequence[str]
) -> AsyncIterator[tuple[NameServer, LookUp]]:
    """Opens a server and the look-up that asks it for both kinds of addresses."""
    server = NameServer(turns, otherwise=otherwise)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: server, local_addr=("127.0.0.1", 0)
    )
    server.transport = transport
    address = transport.get_extra_info("sockname")

    async def look_up(host: str, _port: int) -> list[str]:
        found = [text for kind in (A, AAAA) for text in await _ask(address, host.rstrip("."), kind)]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return found

    try:
        yield server, look_up
    finally:
        transport.close()


async def _ask(server: tuple[str, int], name: str, kind: int) -> list[str]:
    loop = asyncio.get_running_loop()
    query = _HEADER.pack(kind, _QUERY, 1, 0, 0, 0) + _name_bytes(name) + struct.pack("!HH", kind, _INTERNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        asking.connect(server)
        await loop.sock_sendall(asking, query)
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await loop.sock_recv(asking, 65_535)
    return _read_addresses(answer, len(query))


def _read_addresses(answer: bytes, position: int) -> list[str]:
    found = []
    for _ in range(_HEADER.unpack_from(answer)[3]):
        _, position = _read_name(answer, position)
        kind, _, _, length = _RECORD.unpack_from(answer, position)
        value = answer[position + _RECORD.size :][:length]
        position += _RECORD.size + length
        if kind != CNAME:
            found.append(str(ip_address(value)))
    return found


def _record(name: str, kind: int, value: bytes) -> bytes:
    return _name_bytes(name) + _RECORD.pack(kind, _INTERNET, 0, len(value)) + value


def _name_bytes(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\x00"


def _read_name(message: bytes, position: int) -> tuple[str, int]:
    labels = []
    while length := message[position]:
        labels.append(message[position + 1 :][:length].decode())
        position += 1 + length
    return ".".join(labels), position + 1
