"""The functions that live in a service's database can be read in its `store/sql`: there, one file a function, stands
what the migrations, taken together, have made of it."""

from pathlib import Path

import psycopg
import pytest

from tests.conftest import MakeDatabase

SERVICES = Path(__file__).parents[3] / "services"
DEFINED = """
SELECT proname, pg_get_functiondef(oid) FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND prokind IN ('f', 'p')
"""


@pytest.mark.parametrize("service", ["billing", "jobs", "webhooks"])
def test_each_function_of_the_migrated_database_has_its_text_here(
    make_database: MakeDatabase, service: str
) -> None:
    written = {path.stem: path.read_text() for path in (SERVICES / service / "store/sql").glob("*.sql")}

    with psycopg.connect(make_database(service)) as connection:
        defined = {name: f"{text.rstrip()};\n" for name, text in connection.execute(DEFINED)}

    assert defined == written
