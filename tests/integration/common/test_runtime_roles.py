"""The role that a service's processes connect as uses its database, and can change neither history nor the rules."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from reelgate.admin.v1 import account_service_pb2, key_admin_service_pb2
from sqlalchemy import make_url

from services.billing.__main__ import PROCESSES
from services.billing.diagnosis import checks_of
from services.billing.settings import BillingSettings
from services.common.postgres.migrate import migrate
from services.common.postgres.runtime_role import RoleError
from services.common.process import run_service
from tests.conftest import KEY_SECRET, cluster
from tests.integration.billing.books import broken_rules
from tests.integration.billing.running import CREDIT, NOTE, running_billing

SERVICES = ("billing", "jobs", "webhooks")
OWNER, RUNTIME = "reelgate_test_owner", "reelgate_test_runtime"
HISTORY = {
    "billing": {"audit", "entries", "price_versions", "prices", "transactions"},
    "jobs": {"audit", "forgotten_jobs"},
    "webhooks": {"audit"},
}
"""What is never changed, at least. Tables of later migrations are found by their trigger."""
FORBIDDEN = (
    "UPDATE {table} SET {column} = {column}",
    "DELETE FROM {table}",
    "TRUNCATE {table} CASCADE",
    "ALTER TABLE {table} ADD COLUMN planted text",
    "ALTER TABLE {table} DISABLE TRIGGER ALL",
    "ALTER TABLE {table} OWNER TO CURRENT_USER",
    "DROP TABLE {table} CASCADE",
    "DROP TRIGGER {trigger} ON {table}",
    "CREATE TRIGGER planted AFTER INSERT ON {table} EXECUTE FUNCTION refuse_change()",
    "CREATE RULE planted AS ON INSERT TO {table} DO INSTEAD NOTHING",
)
FORBIDDEN_OF_ALL = (
    "SET session_replication_role = replica",
    "CREATE TABLE planted (planted text)",
    "CREATE FUNCTION planted() RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
    "ALTER FUNCTION refuse_change() OWNER TO CURRENT_USER",
    "DROP FUNCTION refuse_change() CASCADE",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE SCHEMA planted",
    "SET ROLE " + OWNER,
    "UPDATE alembic_version SET version_num = ''",
    "ALTER DEFAULT PRIVILEGES FOR ROLE " + OWNER + " GRANT ALL ON TABLES TO CURRENT_USER",
)
APPEND_ONLY = """
SELECT relname AS table, tgname AS trigger,
    (SELECT attname FROM pg_attribute WHERE attrelid = pg_class.oid AND attnum > 0 AND attidentity = '' LIMIT 1) AS column
FROM pg_class JOIN pg_trigger ON tgrelid = pg_class.oid
WHERE tgfoid = CAST('refuse_change' AS regproc) ORDER BY relname
"""


@dataclass(frozen=True)
class Roles:
    """A database as each of its two roles reaches it."""

    owner: str
    runtime: str


@pytest.fixture
def new_database(postgres_port: int) -> Iterator[str]:
    """Returns the address of an empty database that belongs to a role of its own, as its superuser."""
    admin = cluster(postgres_port).url()
    with psycopg.connect(admin, autocommit=True) as connection:
        for role in (OWNER, RUNTIME):
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'tests'").format(sql.Identifier(role)))
        connection.execute(f"CREATE DATABASE of_roles OWNER {OWNER}")
        try:
            yield cluster(postgres_port).url("of_roles")
        finally:
            connection.execute("DROP DATABASE of_roles WITH (FORCE)")
            connection.execute(f"DROP ROLE {OWNER}, {RUNTIME}")


@pytest.fixture
def roles(new_database: str) -> Roles:
    owner, runtime = (
        make_url(new_database).set(username=role, password="tests").render_as_string(hide_password=False)
        for role in (OWNER, RUNTIME)
    )
    return Roles(owner=owner, runtime=runtime)


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(make_conninfo(url), autocommit=True) as connection:
        yield connection


def _forbidden(service: str, roles: Roles) -> list[str]:
    with connected(roles.runtime) as connection:
        found = connection.execute(APPEND_ONLY).fetchall()
    assert HISTORY[service] <= {table for table, _, _ in found}
    return [
        *(
            statement.format(table=table, trigger=trigger, column=column)
            for table, trigger, column in found
            for statement in FORBIDDEN
        ),
        *FORBIDDEN_OF_ALL,
    ]


def _is_refused(roles: Roles, statement: str) -> bool:
    with connected(roles.runtime) as connection:
        try:
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return True
    return False


@pytest.mark.parametrize("service", SERVICES)
def test_what_would_change_history_or_its_rules_is_not_the_processes_to_do(
    service: str, roles: Roles
) -> None:
    migrate(roles.owner, service=service, runtime_role=RUNTIME)

    assert [statement for statement in _forbidden(service, roles) if not _is_refused(roles, statement)] == []


@pytest.mark.parametrize("service", SERVICES)
def test_all_else_can_be_read_and_changed(service: str, roles: Roles) -> None:
    migrate(roles.owner, service=service, runtime_role=RUNTIME)
    with connected(roles.runtime) as connection:
        kept = {table for table, _, _ in connection.execute(APPEND_ONLY).fetchall()}
        tables = [
            table
            for (table,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        for table in tables:
            may = ["SELECT"] if table == "alembic_version" else ["SELECT", "INSERT"]
            may += [] if table == "alembic_version" or table in kept else ["UPDATE", "DELETE"]
            for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "REFERENCES"):
                [(has,)] = connection.execute(
                    "SELECT has_table_privilege(CAST(%s AS text), %s)", (table, privilege)
                ).fetchall()
                assert has == (privilege in may), (table, privilege)


def test_months_of_jobs_come_and_go_by_functions_of_the_owner_alone(roles: Roles) -> None:
    migrate(roles.owner, service="jobs", runtime_role=RUNTIME)
    with connected(roles.owner) as connection:
        connection.execute("DROP TABLE jobs_vid_first")
        connection.execute("""
            CREATE TABLE jobs_vid_2020_01 PARTITION OF jobs (PRIMARY KEY (id)) FOR VALUES FROM ('vid_01dxf6dt00')
            TO ('vid_01e004fq00')
        """)

    with connected(roles.runtime) as connection:
        assert connection.execute("SELECT add_job_partition('vid')").fetchone() == (None,)
        dropped = connection.execute(
            "SELECT forgotten FROM drop_old_jobs('vid', interval '30 days')"
        ).fetchall()
    assert dropped == [("jobs_vid_2020_01",)]
    for statement in (
        "DROP TABLE jobs_job_first",
        "ALTER TABLE jobs DETACH PARTITION jobs_job_first",
        "CREATE TABLE planted PARTITION OF jobs FOR VALUES FROM ('a') TO ('b')",
        "TRUNCATE jobs_job_first",
        "UPDATE forgotten_jobs SET low = ''",
    ):
        assert _is_refused(roles, statement), statement


async def test_a_service_works_as_this_role(roles: Roles) -> None:
    migrate(roles.owner, service="billing", runtime_role=RUNTIME)
    async with running_billing(roles.runtime) as billing:
        account = await billing.account(credits_live=100)
        key = await billing.new_key(account)
        await billing.hold("job_1", account, 10 * CREDIT, key_id=key.key.key_id)
        await billing.confirm("job_1")
        await billing.capture("job_1", 9 * CREDIT)
        await billing.refund("refund_1", "job_1", CREDIT)
        await billing.hold("job_2", account, CREDIT, environment="test")
        await billing.release("job_2")
        await billing.hold("job_3", account, CREDIT)
        await billing.let_time_run_out("job_3")
        assert await billing.sweep() == 1
        await billing.correct(account, -CREDIT)
        await billing.key_admin.DisableKey(
            key_admin_service_pb2.DisableKeyRequest(key_id=key.key.key_id, audit=NOTE)
        )
        await billing.accounts.SuspendAccount(
            account_service_pb2.SuspendAccountRequest(account_id=account, audit=NOTE)
        )
        assert await billing.balance(account) == (91 * CREDIT, 0)
    assert broken_rules(roles.owner) == {}


def test_tables_of_later_migrations_can_be_added_to_at_first(roles: Roles) -> None:
    migrate(roles.owner, service="webhooks", runtime_role=RUNTIME)
    with connected(roles.owner) as connection:
        connection.execute("CREATE TABLE later (number bigint GENERATED ALWAYS AS IDENTITY, said text)")

    with connected(roles.runtime) as connection:
        connection.execute("INSERT INTO later (said) VALUES ('hello')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("UPDATE later SET said = 'bye'")
    migrate(roles.owner, service="webhooks", runtime_role=RUNTIME)
    with connected(roles.runtime) as connection:
        connection.execute("UPDATE later SET said = 'bye'")


def test_a_role_that_owns_the_tables_is_refused_until_they_are_given_away(
    roles: Roles, new_database: str
) -> None:
    with connected(new_database) as connection:
        connection.execute(f"GRANT CREATE ON SCHEMA public TO {RUNTIME}")
    migrate(roles.runtime, service="webhooks")

    with pytest.raises(RoleError, match=f"REASSIGN OWNED BY {RUNTIME} TO"):
        migrate(new_database, service="webhooks", runtime_role=RUNTIME)

    with connected(new_database) as connection:
        connection.execute(f"REASSIGN OWNED BY {RUNTIME} TO {OWNER}")
    migrate(roles.owner, service="webhooks", runtime_role=RUNTIME)


@pytest.mark.parametrize("grant", [f"ALTER ROLE {RUNTIME} SUPERUSER", f"GRANT {OWNER} TO {RUNTIME}"])
def test_a_role_above_privileges_is_refused(roles: Roles, new_database: str, grant: str) -> None:
    with connected(new_database) as connection:
        connection.execute(grant.encode())

    with pytest.raises(RoleError, match="has all rights of the tables' owner"):
        migrate(roles.owner, service="webhooks", runtime_role=RUNTIME)


def test_a_role_that_does_not_exist_is_named(roles: Roles) -> None:
    with pytest.raises(RoleError, match="no role nobody_knows"):
        migrate(roles.owner, service="webhooks", runtime_role="nobody_knows")


def test_migrate_takes_the_role_of_the_processes_from_their_address(
    roles: Roles, capsys: pytest.CaptureFixture[str]
) -> None:
    run = partial(
        run_service,
        "billing",
        kind=BillingSettings,
        processes=PROCESSES,
        checks_of=checks_of,
        arguments=["migrate"],
    )
    given = {"BILLING_DATABASE_URL": roles.runtime, "BILLING_KEY_CHECKSUM_SECRETS": KEY_SECRET}

    assert run(environment={**given, "BILLING_MIGRATION_DATABASE_URL": roles.owner}) == 0
    with connected(roles.runtime) as connection:
        assert connection.execute("SELECT count(*) FROM transactions").fetchone() == (0,)
    one_role = {**given, "BILLING_DATABASE_URL": roles.owner}
    assert run(environment=one_role) == 0
    assert "BILLING_MIGRATION_DATABASE_URL is not set" in capsys.readouterr().err
