"""psycopg remembers how it reads a statement only if it is not too long; otherwise it reads it again for each call."""

import pytest
from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH, MAX_CACHED_STATEMENT_PARAMS

from services.billing.store.holds import _CHANGE_HOLDS, _CREATE_HOLDS
from services.common.postgres.database import Query
from services.jobs.store.admission.creation import CREATE
from services.jobs.store.jobs import GET, GET_ONE

HOT = {"create": CREATE, "get": GET, "get_one": GET_ONE, "hold": _CREATE_HOLDS, "change": _CHANGE_HOLDS}


@pytest.mark.parametrize("query", HOT.values(), ids=HOT)
def test_a_statement_of_many_calls_is_read_once(query: Query) -> None:
    assert len(query.sql) <= MAX_CACHED_STATEMENT_LENGTH
    assert len(query._names) <= MAX_CACHED_STATEMENT_PARAMS
