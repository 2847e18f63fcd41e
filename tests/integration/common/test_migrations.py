import importlib

import pytest
import sqlalchemy

from services.common.migrate import migrate
from tests.conftest import MakeDatabase

SERVICES = ("billing", "jobs", "webhooks")


@pytest.mark.parametrize("service", SERVICES)
def test_migrations_build_the_columns_that_the_code_names(service: str, make_database: MakeDatabase) -> None:
    tables = importlib.import_module(f"services.{service}.tables").metadata.tables
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

    migrate(url, service=service)
    migrate(url, service=service)
