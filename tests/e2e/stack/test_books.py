"""What `reelgate` makes of answers that come in parts, and from two services."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
from reelgate.admin.v1 import (
    account_service_pb2,
    account_service_pb2_grpc,
    audit_pb2,
    audit_service_pb2,
    audit_service_pb2_grpc,
    statement_pb2,
    verifier_service_pb2,
    verifier_service_pb2_grpc,
)
from typing_extensions import override

from services.common.clock import utc_now
from services.common.tls.credentials import server_credentials
from services.common.tls.files import TlsFolder
from services.devstack.certificates import ensure_certificates
from tests.e2e.local_stack import reelgate

Context = grpc.aio.ServicerContext[Any, Any]
SUM = verifier_service_pb2.Finding(rule="transaction_not_zero", row="transactions 4711", detail="sums to 5")
ORPHAN = verifier_service_pb2.Finding(rule="hold_without_job", row="holds vid_1", detail="held 20")


class Verifier(verifier_service_pb2_grpc.VerifierServiceServicer):
    """Books of so many parts, with findings in one of them."""

    def __init__(self, parts_count: int, findings: Mapping[int, verifier_service_pb2.Finding]) -> None:
        self._parts_count = parts_count
        self._findings = findings

    @override
    async def Verify(
        self, request: verifier_service_pb2.VerifyRequest, context: Context
    ) -> verifier_service_pb2.VerifyResponse:
        number = int(request.page_token or 0)
        after = number + 1
        return verifier_service_pb2.VerifyResponse(
            findings=[self._findings[number]] if number in self._findings else [],
            checked_count=1_000,
            next_page_token="" if after == self._parts_count else str(after),
        )


class Accounts(account_service_pb2_grpc.AccountServiceServicer):
    """A statement of so many lines, of which each part has one."""

    def __init__(self, lines_count: int) -> None:
        self._lines_count = lines_count

    @override
    async def GetStatement(
        self, request: account_service_pb2.GetStatementRequest, context: Context
    ) -> account_service_pb2.GetStatementResponse:
        version = int(request.page_token or 0) + 1
        return account_service_pb2.GetStatementResponse(
            lines=[
                statement_pb2.StatementLine(
                    version=version, kind=statement_pb2.MOVEMENT_KIND_GRANT, reference=request.start
                )
            ],
            next_page_token="" if version == self._lines_count else str(version),
        )


class Audit(audit_service_pb2_grpc.AuditServiceServicer):
    """Changes at these seconds of a minute."""

    def __init__(self, seconds: Sequence[int]) -> None:
        self._seconds = seconds

    @override
    async def ListAuditEntries(
        self, request: audit_service_pb2.ListAuditEntriesRequest, context: Context
    ) -> audit_service_pb2.ListAuditEntriesResponse:
        return audit_service_pb2.ListAuditEntriesResponse(
            entries=[
                audit_pb2.AuditEntry(
                    number=second,
                    occurred_at=f"2026-06-01T10:00:{second:02}.000Z",
                    subject_id=request.subject_id,
                    details_json='{"a": 1}',
                )
                for second in self._seconds
            ]
        )


@asynccontextmanager
async def serving(certificates: Path, *, verifier: Verifier, audit: Audit) -> AsyncIterator[str]:
    """Runs a service of this session. Yields where."""
    server = grpc.aio.server()
    verifier_service_pb2_grpc.add_VerifierServiceServicer_to_server(verifier, server)
    audit_service_pb2_grpc.add_AuditServiceServicer_to_server(audit, server)
    accounts = Accounts(3)  # type: ignore[abstract] # nothing but a statement is asked for
    account_service_pb2_grpc.add_AccountServiceServicer_to_server(accounts, server)
    port = server.add_secure_port("127.0.0.1:0", server_credentials(TlsFolder(certificates / "billing")))
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def on_two_services(
    *arguments: str,
    billing: Mapping[int, verifier_service_pb2.Finding] = {},
    jobs: Mapping[int, verifier_service_pb2.Finding] = {},
) -> subprocess.CompletedProcess[str]:
    """Runs a command against a billing and a jobs service of this session."""
    with TemporaryDirectory() as folder:
        certificates = Path(folder)
        ensure_certificates(certificates, now=utc_now())
        async with (
            serving(
                certificates, verifier=Verifier(3, billing), audit=Audit([50, 30, 10])
            ) as billing_address,
            serving(certificates, verifier=Verifier(2, jobs), audit=Audit([40, 20])) as jobs_address,
        ):
            places = ("--billing", billing_address, "--jobs", jobs_address)
            offered = places if arguments[0] != "statement" else places[:2]
            shown = ("--tls", str(certificates / "operator"))
            return await asyncio.to_thread(reelgate, *shown, *arguments, *offered)


async def test_books_that_agree_are_checked_to_the_last_part() -> None:
    done = await on_two_services("ledger", "verify")

    assert done.returncode == 0
    assert done.stdout == "5,000 rows checked: all agrees.\n"


async def test_each_finding_of_every_part_is_named_and_the_command_fails() -> None:
    found = await on_two_services("ledger", "verify", billing={1: SUM}, jobs={1: ORPHAN})

    assert found.returncode == 1
    assert found.stdout.splitlines() == [
        "billing: transaction_not_zero: transactions 4711: sums to 5",
        "jobs: hold_without_job: holds vid_1: held 20",
        "5,000 rows checked: 2 do not agree.",
    ]


async def test_findings_are_told_to_programs_and_the_command_fails() -> None:
    found = await on_two_services("ledger", "verify", "--json", jobs={0: ORPHAN})

    assert found.returncode == 1
    assert json.loads(found.stdout) == {
        "findings": [
            {"service": "jobs", "rule": "hold_without_job", "row": "holds vid_1", "detail": "held 20"}
        ],
        "checked_count": 5_000,
    }


async def test_a_statement_is_fetched_to_its_last_part() -> None:
    shown = await on_two_services("statement", "acct_1", "--format", "json", "--from", "2026-06-01")

    lines = json.loads(shown.stdout)
    assert [line["version"] for line in lines] == [1, 2, 3]
    assert {line["reference"] for line in lines} == {"2026-06-01T00:00:00Z"}


async def test_changes_of_both_services_are_merged_newest_first() -> None:
    shown = await on_two_services("audit", "list", "--subject", "vid_1", "--limit", "4", "--json")

    entries = json.loads(shown.stdout)
    assert [(entry["service"], entry["number"]) for entry in entries] == [
        ("billing", 50),
        ("jobs", 40),
        ("billing", 30),
        ("jobs", 20),
    ]
    assert {entry["subject_id"] for entry in entries} == {"vid_1"}
    assert entries[0]["details"] == {"a": 1}
