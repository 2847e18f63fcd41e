"""Rules that new migrations keep: those of squawk, and our own."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.migration_rules.rendering import Migration

NOT_OURS = (
    "prefer-bigint-over-int",  # counters of attempts and the like stay small
    "prefer-bigint-over-smallint",
    "require-lock-timeout",  # the runner sets both, see services/common/postgres/migrate.py
    "require-statement-timeout",
)
POSTGRES = "14"
"""The oldest server that squawk is to think of."""
SETS_TIMEOUT = "own-timeout"
RECREATES_FUNCTION = "recreated-function"
ROWS_UNDER_LOCK = "rows-under-lock"
NOT_NEEDED = "unused-exception"
WITHOUT_REASON = "exception-without-reason"
REASON_LENGTH_MIN = 20

_QUOTED = re.compile(r"\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'", re.DOTALL)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_TIMEOUT = re.compile(r"^SET\s+(LOCAL\s+|SESSION\s+)?(lock_timeout|statement_timeout)\b", re.IGNORECASE)
_FUNCTION = re.compile(
    r"^(?P<verb>DROP|CREATE)\s+(OR\s+REPLACE\s+)?(FUNCTION|PROCEDURE|ROUTINE)\s+(IF\s+EXISTS\s+)?"
    r"(?P<name>[\w.\"]+)",
    re.IGNORECASE,
)
_MADE = re.compile(
    r"^CREATE\s+(UNLOGGED\s+)?TABLE\s+(IF\s+NOT\s+EXISTS\s+)?(?P<name>[\w.\"]+)", re.IGNORECASE
)
_ALTERED = re.compile(r"^ALTER\s+TABLE\s+(IF\s+EXISTS\s+)?(ONLY\s+)?(?P<name>[\w.\"]+)", re.IGNORECASE)
_MOVES_ROWS = re.compile(r"^(UPDATE|DELETE|INSERT\s.*\bSELECT|WITH)\b", re.IGNORECASE | re.DOTALL)


def departures(migration: Migration) -> list[str]:
    """Returns a line for each rule that a migration breaks without a reason."""
    found = {**_of_squawk(migration.sql), **_of_ours(migration.sql)}
    excused = migration.exceptions
    lines = [f"{migration.name}: {rule}: {text}" for rule, text in found.items() if rule not in excused]
    lines += [
        f"{migration.name}: {NOT_NEEDED}: it breaks no rule {rule}; take it out of EXCEPTIONS."
        for rule in excused.keys() - found.keys()
    ]
    lines += [
        f"{migration.name}: {WITHOUT_REASON}: say in EXCEPTIONS why breaking {rule} hurts nobody."
        for rule, reason in excused.items()
        if len(reason) < REASON_LENGTH_MIN
    ]
    return lines


def _of_squawk(sql: str) -> dict[str, str]:
    command = [str(Path(sys.executable).parent / "squawk"), f"--pg-version={POSTGRES}", "--reporter=json"]
    command += [f"--exclude={rule}" for rule in NOT_OURS]
    done = subprocess.run(
        [*command, "--stdin-filepath=migration.sql"], input=sql, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1) or not done.stdout.strip():
        raise RuntimeError(f"squawk failed: {done.stderr}")
    lines = sql.splitlines()
    return {
        entry["rule_name"]: f"{entry['message']} {entry.get('help') or ''}".strip()
        + f" Here: {lines[entry['line']].strip()!r}"
        for entry in reversed(json.loads(done.stdout))
    }


def _of_ours(sql: str) -> dict[str, str]:
    parts = statements(sql)
    found = {}
    if any(_TIMEOUT.match(statement) for statement in parts):
        found[SETS_TIMEOUT] = (
            "The runner sets lock_timeout and statement_timeout, and tries again. Leave them out."
        )
    for name in sorted(_functions(parts, "DROP") & _functions(parts, "CREATE")):
        found[RECREATES_FUNCTION] = (
            f"{name} is dropped and created, and the release before calls it. Replace it with the same arguments, "
            "or give the new one another name, and drop the old one a release later."
        )
    if any(_moves_rows_under_lock(transaction) for transaction in _transactions(parts)):
        found[ROWS_UNDER_LOCK] = (
            "Rows are moved in the transaction that altered a table, which stays locked meanwhile. "
            "Move them in a migration of their own, or by a duty."
        )
    return found


def _functions(parts: Sequence[str], verb: str) -> set[str]:
    found = [match for match in map(_FUNCTION.match, parts) if match]
    return {match["name"] for match in found if match["verb"].upper() == verb}


def statements(sql: str) -> list[str]:
    """Returns the statements of a text, without comments; what is quoted is replaced by `''`."""
    plain = _COMMENT.sub(" ", _QUOTED.sub("''", sql))
    return [statement.strip() for statement in plain.split(";") if statement.strip()]


def _transactions(parts: Sequence[str]) -> Iterator[list[str]]:
    transaction: list[str] = []
    for statement in parts:
        if statement.upper() == "COMMIT":
            yield transaction
            transaction = []
        elif statement.upper() != "BEGIN":
            transaction.append(statement)


def _moves_rows_under_lock(transaction: Sequence[str]) -> bool:
    made = {found["name"] for found in map(_MADE.match, transaction) if found}
    altered = {found["name"] for found in map(_ALTERED.match, transaction) if found}
    return bool(altered - made) and any(_MOVES_ROWS.match(statement) for statement in transaction)
