"""Whether a process answers requests; that it is alive is not enough."""

import asyncio
from urllib.parse import urlsplit

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.devstack import postgres

PROBE_TIMEOUT_SECONDS = 1.0
ANSWER_LINE_BYTES_MAX = 256


async def answers(address: str) -> bool:
    """Returns whether an address answers now.

    `grpc://host:port` reports SERVING, `http://host:port/path` answers 200, `tcp://host:port` accepts a connection,
    `postgresql://…` accepts a session.
    """
    parts = urlsplit(address)
    assert parts.hostname is not None
    assert parts.port is not None
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(
                parts.hostname, parts.port, limit=ANSWER_LINE_BYTES_MAX
            )
            try:
                if parts.scheme == "http":
                    return await _answers_200(reader, writer, path=parts.path, host=parts.netloc)
            finally:
                writer.close()
            if parts.scheme == "grpc":
                return await _is_serving(parts.netloc)
            if parts.scheme == "postgresql":
                return await asyncio.to_thread(postgres.is_ready, address)
            return True
    except (OSError, TimeoutError):
        return False


async def _answers_200(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, path: str, host: str
) -> bool:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    try:
        line = await reader.readline()
    except ValueError:
        return False
    return line.startswith(b"HTTP/1.1 200 ")


async def _is_serving(target: str) -> bool:
    async with grpc.aio.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=PROBE_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
