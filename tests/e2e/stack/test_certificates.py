"""The local stack runs with certificates of its own, and its commands show the operator's."""

import asyncio
import shutil
import time
from pathlib import Path

import grpc
import pytest
from reelgate.admin.v1 import account_service_pb2, account_service_pb2_grpc

from services.common.clock import utc_now
from services.devstack.certificates import ensure_certificates
from services.devstack.folder import StackFolder
from tests.e2e.local_stack import Stack
from tests.patience import PATIENCE_SECONDS


def test_a_service_of_the_stack_cannot_do_what_its_operator_can(stack: Stack) -> None:
    certificates = StackFolder(stack.folder).tls
    for name in ("jobs", "webhooks", "billing"):
        done = stack.run("--tls", str(certificates / name), "account", "list")

        assert done.returncode == 1
        assert f"spiffe://reelgate/{name} may not call reelgate.admin.v1.AccountService" in done.stderr
        assert done.stdout == ""
    assert stack.run("--tls", str(certificates / "operator"), "account", "list").returncode == 0


def test_a_folder_without_a_certificate_is_named(stack: Stack) -> None:
    done = stack.run("--tls", str(stack.folder / "nowhere"), "account", "list")

    assert done.returncode == 1
    assert f"cannot read {stack.folder / 'nowhere' / 'tls.crt'}" in done.stderr


@pytest.mark.parametrize("trusted", ["their own authority", "the stack's"])
def test_a_certificate_of_another_authority_is_refused_without_waiting(
    stack: Stack, tmp_path: Path, trusted: str
) -> None:
    ensure_certificates(tmp_path, now=utc_now())
    if trusted == "the stack's":
        shutil.copy(StackFolder(stack.folder).operator_tls / "ca.crt", tmp_path / "operator")

    done = stack.run("--tls", str(tmp_path / "operator"), "account", "list")

    assert done.returncode == 1
    assert "do not trust each other" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_running_stack_makes_anew_what_is_no_longer_of_use(stack: Stack) -> None:
    certificate = StackFolder(stack.folder).operator_tls / "tls.crt"
    before = certificate.read_bytes()
    certificate.unlink()

    deadline = time.monotonic() + PATIENCE_SECONDS
    while not certificate.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)

    assert certificate.read_bytes() != before
    assert stack.run("account", "list").returncode == 0


def test_the_audit_names_the_operators_certificate_and_who_they_said_they_were(stack: Stack) -> None:
    created = stack.answer("account", "create", "Acme", "--actor", "ada", "--reason", "ticket 42")

    entries = stack.answer("audit", "list", "--subject", created["account_id"])
    assert {entry["actor"] for entry in entries} == {"spiffe://reelgate/operator/local (ada)"}


@pytest.mark.parametrize(
    ("service", "port"),
    [
        ("billing", "internal"),
        ("billing", "admin"),
        ("jobs", "admin"),
        ("webhooks", "internal"),
        ("webhooks", "admin"),
    ],
)
def test_nobody_without_a_certificate_is_heard(stack: Stack, service: str, port: str) -> None:
    async def list_accounts() -> None:
        async with grpc.aio.insecure_channel(stack.status()["grpc"][service][port]) as channel:
            await account_service_pb2_grpc.AccountServiceStub(channel).ListAccounts(
                account_service_pb2.ListAccountsRequest(), timeout=PATIENCE_SECONDS
            )

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        asyncio.run(list_accounts())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
