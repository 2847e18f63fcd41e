"""What traces cost a call between services, and how long they can hold the event loop up.

Client and server are one process here, so that its processor time is that of both. The collector is another.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from reelgate.internal.keys.v1 import key_service_pb2, key_service_pb2_grpc

from services.common.rpc import client, interceptors
from services.common.rpc.client import open_channel
from services.common.rpc.interceptors import errors_mapped, logged
from services.common.rpc.server import Port, serve
from services.common.telemetry.call_lines import lines_sent_to
from services.common.telemetry.logs import LineHandler
from services.common.telemetry.span_queue import (
    SPANS_PER_MESSAGE_MAX,
    SPANS_WAITING_MAX,
    otlp_exporter,
    recording_to,
)
from services.common.telemetry.tracing import ANSWER, Untraced, is_sampled, span, traceparent
from tests.bench.report import Row
from tests.conftest import free_port
from tests.spans import SAMPLED, UNSAMPLED, collecting, spans_kept

SERVICE = "reelgate.internal.keys.v1.KeyService"
REQUEST = key_service_pb2.LookUpKeyRequest(key_sha256=bytes(32))
AT_ONCE = 16
CALLS = 400
ROUNDS = 25
STALL_SECONDS = 1.0
STALL_ROUNDS = 7
TICK_SECONDS = 0.002
SPANS_PER_TICK = 8
Headers = Callable[[int], str]
WAYS: Mapping[str, Headers] = {
    "without the layer": lambda _: "",
    "off": lambda _: "",
    "unsampled": lambda _: UNSAMPLED,
    "1 % sampled": lambda number: SAMPLED if number % 100 == 0 else UNSAMPLED,
    "all sampled": lambda _: SAMPLED,
}


class _Servicer(key_service_pb2_grpc.KeyServiceServicer):
    async def LookUpKey(  # noqa: N802  the name of the proto
        self, request: key_service_pb2.LookUpKeyRequest, context: Any
    ) -> key_service_pb2.LookUpKeyResponse:
        return key_service_pb2.LookUpKeyResponse()


async def measure_telemetry() -> list[Row]:
    """Returns the processor time of a call in each way, as a ratio in each round, and the longest waits of the loop."""
    with _lines_written(), _collector() as address:
        async with recording_to(otlp_exporter(f"http://{address}"), service="bench"), _served() as stub:
            for headers in WAYS.values():
                await _call_all(stub, headers)
            rounds = [await _round(stub, number) for number in range(ROUNDS)]
    call = median(each["without the layer"] for each in rounds)
    rows = [
        Row(
            name=f"processor time of a call, {name} / without the layer",
            measured=median(each[name] / each["without the layer"] for each in rounds),
            goal={"off": 1.005, "1 % sampled": 1.03}.get(name),
            better="lower",
        )
        for name in ("off", "unsampled", "1 % sampled", "all sampled")
    ]
    return [
        *rows,
        Row(name="processor time of a call, µs", measured=call * 1e6, goal=None, better="lower"),
        Row(
            name="tracing off, share of a call, %",
            measured=_off_seconds() / call * 100,
            goal=0.5,
            better="lower",
        ),
        Row(name="encoding a message of spans, ms", measured=_encoding_ms(), goal=5, better="lower"),
        *await _stalls(),
    ]


async def _round(stub: "key_service_pb2_grpc.KeyServiceAsyncStub", number: int) -> dict[str, float]:
    """Measures each way once; who goes first changes with each round."""
    names = list(WAYS)
    found = {}
    for name in names[number % len(names) :] + names[: number % len(names)]:
        with _without_the_layer() if name == "without the layer" else nullcontext():
            found[name] = await _call_all(stub, WAYS[name])
    return found


@contextmanager
def _without_the_layer() -> Iterator[None]:
    nothing = Untraced()
    with (
        patch.object(client, "span", lambda *_, **__: nothing),
        patch.object(interceptors, "span", lambda *_, **__: nothing),
    ):
        yield


async def _call_all(stub: "key_service_pb2_grpc.KeyServiceAsyncStub", headers: Headers) -> float:
    """Returns the processor time of one call, in seconds."""
    numbers = iter(range(CALLS))

    async def caller() -> None:
        for number in numbers:
            traceparent.set(headers(number))
            await stub.LookUpKey(REQUEST)

    started = time.process_time()
    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    return (time.process_time() - started) / CALLS


def _off_seconds() -> float:
    """Returns what the layer does for a call that is not traced, at both ends, in seconds."""
    count = 20_000
    started = time.process_time()
    for _ in range(count):
        traceparent.set("")
        with span("KeyService/LookUpKey", kind=ANSWER, request="id") as answered:
            answered.end_call("OK")
        with span("KeyService/LookUpKey", kind=ANSWER):
            is_sampled(traceparent.get())
    return (time.process_time() - started) / count


def _encoding_ms() -> float:
    """Returns how long the thread that sends may keep the interpreter busy at a time."""
    with spans_kept() as kept:
        for _ in range(SPANS_PER_MESSAGE_MAX):
            with span(
                "webhook attempt", parent=SAMPLED, job="vid_1", account="acct_1", event="evt_1", status=200
            ):
                pass
    spans = kept.get_finished_spans()
    times = []
    for _ in range(50):
        started = time.thread_time()
        encode_spans(spans).SerializeToString()
        times.append(time.thread_time() - started)
    return median(times) * 1000


async def _stalls() -> list[Row]:
    """Returns the longest wait of the loop while spans are made and the collector is gone, and while nothing goes on."""
    async with recording_to(otlp_exporter(f"http://127.0.0.1:{free_port()}"), service="bench") as queue:
        # From here on the exporter is busy all the time.
        _make_spans(SPANS_WAITING_MAX)
        busy = [await _longest_wait_ms(partial(_make_spans, SPANS_PER_TICK)) for _ in range(STALL_ROUNDS)]
        lost = queue.lost
    quiet = [await _longest_wait_ms(partial(_make_spans, 0)) for _ in range(STALL_ROUNDS)]
    return [
        Row(name="longest wait of an idle loop, ms", measured=median(quiet), goal=None, better="lower"),
        Row(
            name="longest wait with the collector gone, ms", measured=median(busy), goal=None, better="lower"
        ),
        Row(name="spans lost meanwhile", measured=lost, goal=None, better="lower"),
    ]


def _make_spans(count: int) -> None:
    for _ in range(count):
        with span("any", parent=SAMPLED, job="vid_1"):
            pass


async def _longest_wait_ms(work: Callable[[], None]) -> float:
    loop, longest = asyncio.get_running_loop(), 0.0
    until = loop.time() + STALL_SECONDS
    while loop.time() < until:
        work()
        due = loop.time() + TICK_SECONDS
        await asyncio.sleep(TICK_SECONDS)
        longest = max(longest, loop.time() - due)
    return longest * 1000


@asynccontextmanager
async def _served() -> AsyncIterator["key_service_pb2_grpc.KeyServiceAsyncStub"]:
    port = Port(
        address="127.0.0.1:0",
        services=((SERVICE, partial(key_service_pb2_grpc.add_KeyServiceServicer_to_server, _Servicer())),),
        middleware=(logged, errors_mapped),
    )
    async with serve(port) as [address], open_channel(address) as channel:
        yield key_service_pb2_grpc.KeyServiceStub(channel)


@contextmanager
def _lines_written() -> Iterator[None]:
    """Writes the line of each call, as a process does, to where nobody reads it."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        handler = LineHandler("text", nowhere)
        with lines_sent_to(handler.calls.note):
            yield
        handler.flush()


@contextmanager
def _collector() -> Iterator[str]:
    """Runs a collector in another process. Yields its address."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    ended = context.Event()
    process = context.Process(target=_collect, args=(theirs, ended))
    process.start()
    try:
        yield ours.recv()
    finally:
        ended.set()
        process.join()


def _collect(answer: Any, ended: Event) -> None:
    with collecting() as collector:
        answer.send(collector.address)
        ended.wait()
