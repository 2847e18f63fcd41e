"""A line says what happened to whom by ids, as text or as JSON, and quotes nothing that was sent."""

import json
import logging
import sys
from typing import Any

import pytest

from services.common.rpc.both_ends import request_id
from services.common.rpc.interceptors import account
from services.common.telemetry.logs import JsonFormatter, TextFormatter
from services.common.telemetry.tracing import traceparent
from tests.spans import TRACE, UNSAMPLED


@pytest.fixture(autouse=True)
def call() -> None:
    traceparent.set(UNSAMPLED)
    request_id.set("req_1")
    account.set("acct_1")


def a_record(message: str, *arguments: Any, exc_info: Any = None) -> logging.LogRecord:
    return logging.getLogger("reelgate.tests").makeRecord(
        "reelgate.tests", logging.WARNING, "file", 1, message, arguments, exc_info
    )


def test_a_line_of_json_names_its_trace_its_request_and_its_account() -> None:
    line = json.loads(JsonFormatter().format(a_record("job=%s lost", "vid_1")))

    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "reelgate.tests",
        "message": "job=vid_1 lost",
        "trace_id": TRACE,
        "request_id": "req_1",
        "account": "acct_1",
    }


def test_what_is_not_known_is_left_out() -> None:
    traceparent.set("")
    request_id.set("")
    account.set("")

    line = json.loads(JsonFormatter().format(a_record("ready")))

    assert set(line) == {"time", "level", "logger", "message"}


def test_a_line_stays_one_line() -> None:
    written = JsonFormatter().format(a_record("two\nlines \x85 \u2028 „so“"))

    assert written.splitlines() == [written]
    assert json.loads(written)["message"] == "two\nlines \x85 \u2028 „so“"


DATABASE_ERROR = """new row for relation "jobs" violates check constraint "jobs_reserved"
DETAIL:  Failing row contains (vid_1, acct_1, a cat
that flies, 0).
CONTEXT:  SQL statement "INSERT a cat"
"""


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter("%(message)s")])
def test_of_an_error_of_the_database_the_rows_are_left_out(formatter: logging.Formatter) -> None:
    try:
        try:
            raise ValueError(DATABASE_ERROR)
        except ValueError as error:
            raise RuntimeError("the move failed") from error
    except RuntimeError:
        record = a_record("failed: %s", DATABASE_ERROR, exc_info=sys.exc_info())
        written = formatter.format(record)

    assert "violates check constraint" in written
    assert "the move failed" in written
    assert "a cat" not in written
    assert "that flies" not in written
