"""Who is let in between services, over real gRPC: a certificate of our authority with an identity on the list."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from reelgate.internal.keys.v1 import key_service_pb2, key_service_pb2_grpc

from services.common.clock import utc_now
from services.common.errors import Reason, ServiceError
from services.common.rpc.client import open_channel
from services.common.rpc.internal_port import inner_port
from services.common.rpc.server import serve
from services.common.tls.channel import RenewedChannel
from services.common.tls.credentials import channel_credentials
from services.common.tls.files import TlsFiles, TlsFolder
from services.common.tls.identities import JOBS
from services.common.tls.peers import acting
from services.devstack.certificates import CERTIFICATE_LIFETIME, ensure_certificates
from tests.patience import PATIENCE_SECONDS

SERVICE = "reelgate.internal.keys.v1.KeyService"
REQUEST = key_service_pb2.LookUpKeyRequest(key_sha256=bytes(32))
LONG_AGO = 3 * CERTIFICATE_LIFETIME


class Servicer(key_service_pb2_grpc.KeyServiceServicer):
    """Answers with who calls, and can be told to wait."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.entered = asyncio.Event()

    async def LookUpKey(  # noqa: N802  the name of the proto
        self, request: key_service_pb2.LookUpKeyRequest, context: Any
    ) -> key_service_pb2.LookUpKeyResponse:
        self.entered.set()
        await self.go_on.wait()
        return key_service_pb2.LookUpKeyResponse(account_id=acting("ada"))


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    ensure_certificates(tmp_path / "ours", now=utc_now())
    return tmp_path / "ours"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """What another authority gave out, under the same names."""
    ensure_certificates(tmp_path / "theirs", now=utc_now())
    return tmp_path / "theirs"


@pytest.fixture
def expired(ours: Path, tmp_path: Path) -> Path:
    """What our own authority gave out long ago."""
    shutil.copytree(ours, tmp_path / "expired")
    for folder in (tmp_path / "expired").iterdir():
        (folder / "tls.crt").unlink(missing_ok=True)
    ensure_certificates(tmp_path / "expired", now=utc_now() - LONG_AGO)
    return tmp_path / "expired"


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()


@asynccontextmanager
async def served(servicer: Servicer, folder: Path) -> AsyncIterator[str]:
    add = partial(key_service_pb2_grpc.add_KeyServiceServicer_to_server, servicer)
    port = inner_port("127.0.0.1:0", ((SERVICE, add, (JOBS,)),), tls=TlsFolder(folder), reflection=False)
    async with serve(port) as [address]:
        yield address


@pytest.fixture
async def address(servicer: Servicer, ours: Path) -> AsyncIterator[str]:
    async with served(servicer, ours / "billing") as bound:
        yield bound


async def who_is_let_in(channel: grpc.aio.Channel) -> str:
    stub = key_service_pb2_grpc.KeyServiceStub(channel)
    return str((await stub.LookUpKey(REQUEST, timeout=PATIENCE_SECONDS)).account_id)


async def refusal(opened: AbstractAsyncContextManager[grpc.aio.Channel]) -> str:
    async with opened as channel:
        with pytest.raises(ServiceError) as caught:
            await who_is_let_in(channel)
    assert caught.value.reason is Reason.UNAVAILABLE
    return caught.value.detail


async def test_a_listed_identity_is_let_in_and_known_by_its_certificate(address: str, ours: Path) -> None:
    async with open_channel(address, tls=TlsFolder(ours / "jobs")) as channel:
        assert await who_is_let_in(channel) == f"{JOBS} (ada)"


async def test_another_identity_of_the_same_authority_is_refused_by_name(
    address: str, ours: Path, servicer: Servicer
) -> None:
    for name in ("webhooks", "operator", "billing"):
        told = await refusal(open_channel(address, tls=TlsFolder(ours / name)))

        assert told.startswith("PERMISSION_DENIED: spiffe://reelgate/")
        assert f"may not call {SERVICE}" in told
    assert not servicer.entered.is_set()


async def test_the_same_name_by_another_authority_opens_nothing(
    address: str, ours: Path, theirs: Path, tmp_path: Path, servicer: Servicer
) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(theirs / "jobs", mixed)
    shutil.copy(ours / "jobs" / "ca.crt", mixed)  # so that it is not the caller who refuses

    assert "UNAVAILABLE" in await refusal(open_channel(address, tls=TlsFolder(mixed)))
    assert not servicer.entered.is_set()


async def test_a_certificate_that_has_expired_opens_nothing(
    address: str, expired: Path, servicer: Servicer
) -> None:
    assert "UNAVAILABLE" in await refusal(open_channel(address, tls=TlsFolder(expired / "jobs")))
    assert not servicer.entered.is_set()


async def test_without_a_certificate_nothing_is_opened(address: str, ours: Path, servicer: Servicer) -> None:
    trusting = grpc.ssl_channel_credentials(root_certificates=(ours / "jobs" / "ca.crt").read_bytes())
    for channel in (grpc.aio.secure_channel(address, trusting), grpc.aio.insecure_channel(address)):
        async with channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await who_is_let_in(channel)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert not servicer.entered.is_set()


async def test_a_caller_sends_nothing_to_a_server_that_cannot_prove_itself(
    servicer: Servicer, ours: Path, theirs: Path, expired: Path
) -> None:
    for shown in (theirs / "billing", expired / "billing", ours / "operator"):
        async with served(servicer, shown) as address:
            assert "UNAVAILABLE" in await refusal(open_channel(address, tls=TlsFolder(ours / "jobs")))
    assert not servicer.entered.is_set()


def replace(folder: Path, by: Path) -> None:
    for name in ("tls.key", "ca.crt", "tls.crt"):
        shutil.copy(by / name, folder / "draft")
        (folder / "draft").replace(folder / name)


async def test_a_running_server_goes_over_to_another_authority(
    address: str, ours: Path, theirs: Path
) -> None:
    replace(ours / "billing", theirs / "billing")

    async with open_channel(address, tls=TlsFolder(theirs / "jobs")) as channel:
        assert await who_is_let_in(channel) == f"{JOBS} (ada)"
    assert "UNAVAILABLE" in await refusal(open_channel(address, tls=TlsFolder(ours / "jobs")))


async def test_a_server_is_configured_anew_by_changed_files_and_not_by_each_connection(
    servicer: Servicer, ours: Path, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configurations = []
    configure = cast("Any", grpc).ssl_server_certificate_configuration

    def noted(*arguments: Any, **options: Any) -> Any:
        configurations.append(options["root_certificates"])
        return configure(*arguments, **options)

    monkeypatch.setattr(grpc, "ssl_server_certificate_configuration", noted)
    async with served(servicer, ours / "billing") as address:
        for trusted in (ours, theirs):
            replace(ours / "billing", trusted / "billing")
            for _ in range(3):
                async with open_channel(address, tls=TlsFolder(trusted / "jobs")) as channel:
                    await who_is_let_in(channel)

    assert configurations == [(trusted / "jobs" / "ca.crt").read_bytes() for trusted in (ours, theirs)]


@pytest.mark.parametrize("broken", ["tls.key", "tls.crt", "ca.crt"])
async def test_half_of_a_change_leaves_the_server_as_it_was(
    address: str, ours: Path, theirs: Path, broken: str
) -> None:
    if broken == "ca.crt":
        (ours / "billing" / broken).write_text("-----BEGIN CERT")
    else:
        shutil.copy(theirs / "billing" / broken, ours / "billing" / broken)

    async with open_channel(address, tls=TlsFolder(ours / "jobs")) as channel:
        assert await who_is_let_in(channel) == f"{JOBS} (ada)"


@pytest.fixture
def make(address: str) -> Callable[[TlsFiles], grpc.aio.Channel]:
    return lambda files: grpc.aio.secure_channel(address, channel_credentials(files))


async def test_a_caller_goes_over_to_a_renewed_certificate_and_ends_what_it_began(
    make: Callable[[TlsFiles], grpc.aio.Channel], ours: Path, servicer: Servicer
) -> None:
    made: list[TlsFiles] = []
    channels: list[grpc.aio.Channel] = []

    def counted(files: TlsFiles) -> grpc.aio.Channel:
        made.append(files)
        channels.append(make(files))
        return channels[-1]

    channel: Any = RenewedChannel(counted, TlsFolder(ours / "jobs"))
    servicer.go_on.clear()
    begun = asyncio.create_task(who_is_let_in(channel))
    await servicer.entered.wait()
    assert await channel.renew() == 0
    before = TlsFolder(ours / "jobs").read()
    (ours / "jobs" / "tls.crt").unlink()
    ensure_certificates(ours, now=utc_now() + timedelta(seconds=1))

    renewing = asyncio.create_task(channel.renew())
    while len(made) == 1:  # noqa: ASYNC110  no bell rings
        await asyncio.sleep(0.01)
    servicer.go_on.set()

    assert await who_is_let_in(channel) == f"{JOBS} (ada)"
    assert await begun == f"{JOBS} (ada)"
    assert await renewing == 1
    assert made == [before, TlsFolder(ours / "jobs").read()]
    states = [each.get_state() for each in channels]
    assert states == [grpc.ChannelConnectivity.SHUTDOWN, grpc.ChannelConnectivity.READY]
    await channel.close()
