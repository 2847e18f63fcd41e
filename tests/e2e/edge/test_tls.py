"""TLS at the edge, with a certificate that is replaced while it runs."""

import asyncio
import datetime as dt
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from reelgate.callback.v1 import callback_service_pb2, callback_service_pb2_grpc
from reelgate.internal.keys.v1 import key_service_pb2, key_service_pb2_grpc
from reelgate.video.v1 import video_pb2, video_service_pb2, video_service_pb2_grpc

from services.edge.drain import drain
from services.edge.tracing import TRACE_HEADERS
from services.edge.transcoding import BODY_BYTES_MAX
from tests.conftest import free_port
from tests.e2e.edge.client import logged
from tests.e2e.edge.upstream import Context, Upstream
from tests.e2e.edge_process import RunningEdge, running_edge
from tests.patience import PATIENCE_SECONDS
from tests.spans import SAMPLED

pytestmark = pytest.mark.asyncio(loop_scope="session")

WHEN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
HEALTHZ = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
HELLO_OF_TLS_1_1 = bytes.fromhex("160301002f 0100002b 0302" + "11" * 32 + "00 0004c013002f 0100")
ALERT_PROTOCOL_VERSION = bytes([2, 70])


def write_certificate(folder: Path) -> int:
    """Puts a new self-signed certificate and its key in place, each by renaming. Returns its serial number."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(WHEN - dt.timedelta(days=3650))
        .not_valid_after(WHEN + dt.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    texts = {
        "tls.crt": certificate.public_bytes(Encoding.PEM),
        "tls.key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    for file, text in texts.items():
        (folder / f"{file}.new").write_bytes(text)
        os.replace(folder / f"{file}.new", folder / file)  # noqa: PTH105 - over the one before, at once
    return certificate.serial_number


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("tls")
    write_certificate(found)
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def secure(services: Upstream, folder: Path) -> AsyncIterator[RunningEdge]:
    async with running_edge(
        jobs_targets=services.target,
        billing_targets=services.target,
        tls_certificate_file=folder / "tls.crt",
        tls_key_file=folder / "tls.key",
        grpc_address=f"127.0.0.1:{free_port()}",
    ) as edge:
        yield edge


def trusting_anybody(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def shaken_hands(address: str, context: ssl.SSLContext) -> ssl.SSLObject:
    """Returns the TLS side of a connection that is closed by then. Raises OSError when there is none."""
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    found: ssl.SSLObject = writer.get_extra_info("ssl_object")
    writer.transport.abort()
    return found


async def shown_serial(address: str) -> int:
    certificate = (await shaken_hands(address, trusting_anybody())).getpeercert(binary_form=True)
    assert certificate is not None
    return x509.load_der_x509_certificate(certificate).serial_number


async def next_serial(address: str, before: int) -> int:
    """Returns the serial number that is shown once it is another one."""
    while True:
        shown = await shown_serial(address)
        if shown != before:
            return shown
        await asyncio.sleep(0.05)


def grpc_channel(edge: RunningEdge, folder: Path) -> grpc.aio.Channel:
    trusted = grpc.ssl_channel_credentials((folder / "tls.crt").read_bytes())
    _, _, port = str(edge.settings.grpc_address).rpartition(":")
    return grpc.aio.secure_channel(
        f"127.0.0.1:{port}", trusted, [("grpc.ssl_target_name_override", "localhost")]
    )


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_customers_speak_https_and_choose_http_2(secure: RunningEdge, version: ssl.TLSVersion) -> None:
    chosen = (await shaken_hands(secure.address, trusting_anybody(version))).selected_alpn_protocol()

    assert chosen == "h2"


async def test_customers_of_http_1_are_served_over_tls(secure: RunningEdge) -> None:
    context = trusting_anybody()
    context.set_alpn_protocols(["http/1.1"])
    host, _, port = secure.address.rpartition(":")

    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    writer.write(HEALTHZ)
    answer = await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 200 OK")


async def test_older_tls_and_no_tls_are_refused(secure: RunningEdge) -> None:
    host, _, port = secure.address.rpartition(":")
    answers = []
    for first in (HELLO_OF_TLS_1_1, HEALTHZ):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(first)
        answers.append(await reader.read())
        writer.close()

    assert answers[0].endswith(ALERT_PROTOCOL_VERSION)
    assert b"HTTP" not in answers[1]


async def test_a_new_certificate_is_shown_without_a_restart(
    secure: RunningEdge, folder: Path, upstream: Upstream
) -> None:
    before = await shown_serial(secure.address)

    new = write_certificate(folder)

    async with asyncio.timeout(PATIENCE_SECONDS):
        for address in (secure.address, str(secure.settings.grpc_address)):
            assert await next_serial(address, before) == new
    assert secure.process.poll() is None


async def test_a_certificate_that_kubernetes_mounts_is_read_anew(tmp_path: Path) -> None:
    """There every file is a link through `..data`, and an update turns only that link."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
    serial = write_certificate(tmp_path / "1")
    (tmp_path / "..data").symlink_to("1")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    async with running_edge(
        jobs_targets="127.0.0.1:1",
        billing_targets="127.0.0.1:1",
        ready_path="/healthz",
        tls_certificate_file=tmp_path / "tls.crt",
        tls_key_file=tmp_path / "tls.key",
    ) as edge:
        assert await shown_serial(edge.address) == serial

        new = write_certificate(tmp_path / "2")
        (tmp_path / "..new").symlink_to("2")
        os.replace(tmp_path / "..new", tmp_path / "..data")  # noqa: PTH105 - a link over a link, at once

        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await next_serial(edge.address, serial) == new


async def test_a_key_of_another_certificate_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    serial = write_certificate(tmp_path)
    write_certificate(tmp_path / "other")
    async with running_edge(
        jobs_targets="127.0.0.1:1",
        billing_targets="127.0.0.1:1",
        ready_path="/healthz",
        tls_certificate_file=tmp_path / "tls.crt",
        tls_key_file=tmp_path / "tls.key",
    ) as edge:
        os.replace(tmp_path / "other" / "tls.key", tmp_path / "tls.key")  # noqa: PTH105 - at once
        await refused_updates(edge)

        assert await shown_serial(edge.address) == serial


async def refused_updates(edge: RunningEdge) -> None:
    """Returns once Envoy has refused files that it was given. Raises TimeoutError."""
    query = {"filter": "key_rotation_failed|update_rejected", "format": "json"}
    async with asyncio.timeout(PATIENCE_SECONDS), aiohttp.ClientSession() as client:
        while True:
            async with client.get(f"http://{edge.settings.admin_address}/stats", params=query) as answer:
                found = (await answer.json())["stats"]
            if any(each["value"] for each in found if "sds" in each["name"]):
                return
            await asyncio.sleep(0.05)


async def test_grpc_reaches_public_methods(secure: RunningEdge, folder: Path, upstream: Upstream) -> None:
    async with grpc_channel(secure, folder) as channel:
        videos = video_service_pb2_grpc.VideoServiceStub(channel)
        call = videos.GetVideo(
            video_service_pb2.GetVideoRequest(id="vid_7"),
            metadata=[
                ("authorization", "Bearer key"),
                ("x-forged-bin", b"\xff"),
                ("x-request-id", "mine"),
                ("x-envoy-original-path", "/forged"),
                *((name, SAMPLED) for name in TRACE_HEADERS),
            ],
            timeout=5000,
        )
        answer = await call
        metadata = dict(await call.initial_metadata())

    assert answer.data.id == "vid_7"
    line = await logged(secure, str(metadata["x-request-id"]))
    assert (line["route"], line["status"]) == ("/reelgate.video.v1.VideoService/GetVideo", 200)
    [seen] = upstream.calls
    assert seen.metadata["authorization"] == "Bearer key"
    assert "x-forged-bin" not in seen.metadata
    assert "x-envoy-original-path" not in seen.metadata
    assert not set(TRACE_HEADERS) & set(seen.metadata)
    assert 60 < seen.remaining_seconds <= 65
    assert metadata["x-request-id"] == seen.metadata["x-request-id"] != "mine"
    assert [name for name in metadata if name.startswith(("x-envoy-", "server"))] == []


async def test_a_refusal_of_a_service_arrives_as_it_is(
    secure: RunningEdge, folder: Path, upstream: Upstream
) -> None:
    async with grpc_channel(secure, folder) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await video_service_pb2_grpc.VideoServiceStub(channel).CreateVideo(
                video_service_pb2.CreateVideoRequest()
            )

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "Field model is required and must not be empty."
    trailers: Any = refused.value.trailing_metadata()
    names = [name for name, _ in trailers]
    assert "grpc-status-details-bin" in names
    assert [name for name in names if name.startswith("x-api-")] == []


async def test_grpc_reaches_nothing_that_is_not_for_customers(
    secure: RunningEdge, folder: Path, upstream: Upstream
) -> None:
    async with grpc_channel(secure, folder) as channel:
        calls = (
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()),
            key_service_pb2_grpc.KeyServiceStub(channel).LookUpKey(key_service_pb2.LookUpKeyRequest()),
            callback_service_pb2_grpc.CallbackServiceStub(channel).ReceiveCallback(
                callback_service_pb2.ReceiveCallbackRequest(token="t")
            ),
            channel.unary_unary("/reelgate.video.v1.VideoService/Unheard", None, None)(b""),
            channel.unary_unary("/reelgate.admin.v1.AccountService/CreateAccount", None, None)(b""),
        )
        found = []
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            found.append((refused.value.code(), refused.value.details()))

    assert found == [(grpc.StatusCode.UNIMPLEMENTED, "There is no such method.")] * len(calls)
    assert upstream.calls == []


async def test_a_body_over_256_kib_and_a_compressed_one_reach_no_service(
    secure: RunningEdge, folder: Path, upstream: Upstream
) -> None:
    def creation(prompt: str) -> video_service_pb2.CreateVideoRequest:
        return video_service_pb2.CreateVideoRequest(model="mini", input=video_pb2.VideoInput(prompt=prompt))

    async with grpc_channel(secure, folder) as channel:
        create = video_service_pb2_grpc.VideoServiceStub(channel).CreateVideo
        with pytest.raises(grpc.aio.AioRpcError) as too_large:
            await create(creation("x" * (BODY_BYTES_MAX + 1)))
        with pytest.raises(grpc.aio.AioRpcError):
            await create(creation("x" * 10_000), compression=grpc.Compression.Gzip)

    assert too_large.value.details() == "The request must be at most 256 KiB."
    assert upstream.calls == []


async def test_json_is_not_spoken_where_grpc_is(secure: RunningEdge, upstream: Upstream) -> None:
    host, _, port = str(secure.settings.grpc_address).rpartition(":")
    only_http_1 = trusting_anybody()
    only_http_1.set_alpn_protocols(["http/1.1"])

    reader, writer = await asyncio.open_connection(host, int(port), ssl=only_http_1)
    writer.write(b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n")
    answer = await reader.read()
    writer.close()

    assert b"HTTP/1.1 200" not in answer
    assert upstream.calls == []


async def test_a_service_that_is_away_is_not_described(services: Upstream, folder: Path) -> None:
    async with (
        running_edge(
            jobs_targets="127.0.0.1:1",
            billing_targets="127.0.0.1:1",
            ready_path="/healthz",
            tls_certificate_file=folder / "tls.crt",
            tls_key_file=folder / "tls.key",
            grpc_address=f"127.0.0.1:{free_port()}",
        ) as edge,
        grpc_channel(edge, folder) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await video_service_pb2_grpc.VideoServiceStub(channel).GetVideo(
                video_service_pb2.GetVideoRequest(id="vid_1")
            )

    assert (failed.value.code(), failed.value.details()) == (
        grpc.StatusCode.UNAVAILABLE,
        "Unexpected server error.",
    )


async def test_a_flood_of_grpc_is_refused_with_resource_exhausted(services: Upstream, folder: Path) -> None:
    async with (
        running_edge(
            jobs_targets=services.target,
            billing_targets=services.target,
            calls_per_second_per_address=1,
            tls_certificate_file=folder / "tls.crt",
            tls_key_file=folder / "tls.key",
            grpc_address=f"127.0.0.1:{free_port()}",
        ) as edge,
        grpc_channel(edge, folder) as channel,
    ):
        stub = video_service_pb2_grpc.VideoServiceStub(channel)
        calls = (stub.GetVideo(video_service_pb2.GetVideoRequest(id="a")) for _ in range(60))
        results = await asyncio.gather(*calls, return_exceptions=True)

    refused = [result for result in results if isinstance(result, grpc.aio.AioRpcError)]
    assert 0 < len(refused) < len(results)
    assert {each.code() for each in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert {each.details() for each in refused} == {"Too many requests come from this address. Slow down."}


async def test_a_drain_waits_for_grpc_too(services: Upstream, upstream: Upstream, folder: Path) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait(request: object, context: Context) -> video_service_pb2.GetVideoResponse:
        reached.set()
        await go_on.wait()
        return video_service_pb2.GetVideoResponse()

    upstream.behaviors["GetVideo"] = wait
    async with (
        running_edge(
            jobs_targets=services.target,
            billing_targets=services.target,
            tls_certificate_file=folder / "tls.crt",
            tls_key_file=folder / "tls.key",
            grpc_address=f"127.0.0.1:{free_port()}",
        ) as edge,
        grpc_channel(edge, folder) as channel,
    ):
        call = video_service_pb2_grpc.VideoServiceStub(channel).GetVideo(
            video_service_pb2.GetVideoRequest(id="a")
        )
        slow = asyncio.ensure_future(call)
        await reached.wait()
        draining = asyncio.create_task(drain(edge.settings))
        done, _ = await asyncio.wait([draining], timeout=0.5)
        assert done == set()
        go_on.set()
        await slow
        assert await draining == 0
