import importlib

import psycopg
import pytest
import sqlalchemy

from services.common.audit.store import audit
from services.common.postgres.migrate import migrate
from tests.conftest import MakeDatabase

SERVICES = ("billing", "jobs", "webhooks")
SCHEMA = """
SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) FROM information_schema.columns
WHERE table_schema = 'public'
UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
ORDER BY 1
"""


@pytest.mark.parametrize("service", SERVICES)
def test_migrations_build_the_columns_that_the_code_names(service: str, make_database: MakeDatabase) -> None:
    named = importlib.import_module(f"services.{service}.tables").metadata.tables
    tables = {**named, audit.name: audit}
    url = sqlalchemy.make_url(make_database(service)).set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)

    inspector = sqlalchemy.inspect(engine)
    built = {name: {column["name"] for column in inspector.get_columns(name)} for name in tables}
    engine.dispose()

    assert {name: set(table.columns.keys()) - built[name] for name, table in tables.items()} == {
        name: set() for name in tables
    }


@pytest.mark.parametrize("service", SERVICES)
def test_migrating_again_changes_nothing(service: str, make_database: MakeDatabase) -> None:
    url = make_database(service)
    before = _schema(url)

    migrate(url, service=service)

    assert len(before) > 10
    assert _schema(url) == before


def _schema(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(SCHEMA)]
