"""`python -m services.billing` as an operator runs it."""

import os
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import grpc
from reelgate.admin.v1 import account_service_pb2, account_service_pb2_grpc
from sqlalchemy import Dialect, NullPool, create_engine, inspect, make_url

from services.billing.__main__ import PROCESSES
from services.billing.diagnosis import checks_of
from services.billing.settings import BillingSettings
from services.billing.tables import metadata
from services.common.process import run_service
from tests.conftest import KEY_SECRET, MakeDatabase, cluster, free_port
from tests.integration.billing.running import NOTE
from tests.patience import PATIENCE_SECONDS


def _start(*arguments: str, **settings: str) -> "subprocess.Popen[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
    environment = {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **settings}
    return subprocess.Popen(
        [sys.executable, "-m", "services.billing", *arguments],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_a_process_serves_and_stops_gracefully_when_told_to(make_database: MakeDatabase) -> None:
    admin_address = f"127.0.0.1:{free_port()}"
    process = _start(
        "api",
        BILLING_DATABASE_URL=make_database("billing"),
        BILLING_KEY_CHECKSUM_SECRETS=KEY_SECRET,
        BILLING_PUBLIC_ADDRESS="127.0.0.1:0",
        BILLING_INTERNAL_ADDRESS="127.0.0.1:0",
        BILLING_ADMIN_ADDRESS=admin_address,
        BILLING_HEALTH_ADDRESS="127.0.0.1:0",
        BILLING_METRICS_ADDRESS="127.0.0.1:0",
        BILLING_PLAINTEXT_INTERNAL="true",
    )
    try:
        async with grpc.aio.insecure_channel(admin_address) as channel:
            created = await account_service_pb2_grpc.AccountServiceStub(channel).CreateAccount(
                account_service_pb2.CreateAccountRequest(name="Acme", contract="nextapi", audit=NOTE),
                wait_for_ready=True,
                timeout=PATIENCE_SECONDS,
            )
        process.terminate()
        _, log = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()

    assert created.account_id.startswith("acct_")
    assert process.returncode == 0
    assert "Traceback" not in log


def test_migrate_brings_an_empty_database_to_the_tables_that_statements_name(postgres_port: int) -> None:
    cluster(postgres_port).ensure_database("billing_migrate")
    url = cluster(postgres_port).url("billing_migrate")
    exits = [
        run_service(
            "billing",
            kind=BillingSettings,
            processes=PROCESSES,
            checks_of=checks_of,
            arguments=["migrate"],
            environment={"BILLING_DATABASE_URL": url, "BILLING_KEY_CHECKSUM_SECRETS": KEY_SECRET},
        )
        for _ in range(2)
    ]

    assert exits == [0, 0]
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    found = inspect(engine)
    for table in metadata.sorted_tables:
        assert _columns(found.get_columns(table.name), engine.dialect) == _columns(
            ({"name": column.name, "type": column.type, "nullable": column.nullable} for column in table.c),
            engine.dialect,
        )
        key = found.get_pk_constraint(table.name)["constrained_columns"]
        assert key == [column.name for column in table.primary_key]
    engine.dispose()


def _columns(columns: Iterable[Any], dialect: Dialect) -> dict[str, tuple[str, bool]]:
    return {column["name"]: (column["type"].compile(dialect), column["nullable"]) for column in columns}
