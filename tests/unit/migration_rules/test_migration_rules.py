"""Migrations that would hurt the release that still serves are refused, and say what to do instead."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.migration_rules.__main__ import BEFORE_THE_RULES, SERVICES, new_migrations
from tests.migration_rules.rendering import NotRenderedError, read_migration
from tests.migration_rules.rules import departures

FUNCTION = "CREATE FUNCTION spend(amount bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE jobs SET id = 1; END $$"
BAD = {
    "require-concurrent-index-creation": ["CREATE INDEX jobs_by_model ON jobs (model)"],
    "require-concurrent-index-deletion": ["DROP INDEX jobs_by_model"],
    "adding-required-field": ["ALTER TABLE jobs ADD COLUMN traceparent text NOT NULL"],
    "adding-not-nullable-field": ["ALTER TABLE jobs ALTER COLUMN traceparent SET NOT NULL"],
    "adding-field-with-default": ["ALTER TABLE jobs ADD COLUMN seen timestamptz DEFAULT clock_timestamp()"],
    "changing-column-type": ["ALTER TABLE jobs ALTER COLUMN model TYPE bigint USING model::bigint"],
    "constraint-missing-not-valid": ["ALTER TABLE jobs ADD CONSTRAINT jobs_model CHECK (model <> '')"],
    "adding-foreign-key-constraint": ["ALTER TABLE work ADD FOREIGN KEY (job_id) REFERENCES jobs (id)"],
    "disallowed-unique-constraint": ["ALTER TABLE jobs ADD CONSTRAINT jobs_one UNIQUE (model)"],
    "renaming-column": ["ALTER TABLE jobs RENAME COLUMN model TO model_name"],
    "renaming-table": ["ALTER TABLE jobs RENAME TO videos"],
    "ban-drop-column": ["ALTER TABLE jobs DROP COLUMN model"],
    "ban-drop-table": ["DROP TABLE jobs"],
    "ban-drop-function": ["DROP FUNCTION spend"],
    "ban-truncate-cascade": ["TRUNCATE jobs CASCADE"],
    "ban-concurrent-index-creation-in-transaction": [
        "CREATE INDEX CONCURRENTLY jobs_by_model ON jobs (model)"
    ],
    "own-timeout": ["SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'"],
    "recreated-function": ["DROP FUNCTION IF EXISTS spend", FUNCTION],
    "rows-under-lock": ["ALTER TABLE jobs ADD COLUMN note text; UPDATE jobs SET note = ''"],
}
GOOD = {
    "a column": ["ALTER TABLE jobs ADD COLUMN traceparent text"],
    "a constant default": ["ALTER TABLE jobs ADD COLUMN tries bigint NOT NULL DEFAULT 0"],
    "a table with an index": [
        "CREATE TABLE beats (id text PRIMARY KEY, at timestamptz NOT NULL); CREATE INDEX beats_at ON beats (at)",
        "INSERT INTO beats SELECT 'a', now()",
    ],
    "a function under a new name": [FUNCTION.replace("spend", "spend_more")],
    "a replaced function": [FUNCTION.replace("CREATE", "CREATE OR REPLACE")],
    "rows alone": ["UPDATE jobs SET model = 'mini' WHERE model = ''"],
}


def _migration(folder: Path, statements: Sequence[str], *, more: str = "") -> Path:
    path = folder / "jobs" / "migrations" / "0012_planted.py"
    path.parent.mkdir(parents=True)
    calls = "".join(f"    op.execute({statement!r})\n" for statement in statements)
    path.write_text(f"from alembic import op\n{more}\ndef upgrade():\n{calls}")
    return path


@pytest.mark.parametrize("rule", BAD)
def test_what_would_hurt_the_release_before_is_refused(rule: str, tmp_path: Path) -> None:
    found = departures(read_migration(_migration(tmp_path, BAD[rule])))

    assert rule in [line.split(": ")[1] for line in found]


@pytest.mark.parametrize("what", GOOD)
def test_what_hurts_nobody_is_let_through(what: str, tmp_path: Path) -> None:
    assert departures(read_migration(_migration(tmp_path, GOOD[what]))) == []


def test_an_index_that_is_built_beside_traffic_is_let_through(tmp_path: Path) -> None:
    path = _migration(tmp_path, [])
    path.write_text(
        "from alembic import op\n"
        "def upgrade():\n"
        "    with op.get_context().autocommit_block():\n"
        "        op.execute('DROP INDEX CONCURRENTLY IF EXISTS jobs_by_model')\n"
        "        op.execute('CREATE INDEX CONCURRENTLY IF NOT EXISTS jobs_by_model ON jobs (model)')\n"
    )

    assert departures(read_migration(path)) == []


def test_an_exception_stands_beside_the_migration_with_its_reason(tmp_path: Path) -> None:
    reason = "EXCEPTIONS = {'ban-drop-column': 'No release since 0.1 reads the column.'}"

    assert departures(read_migration(_migration(tmp_path, BAD["ban-drop-column"], more=reason))) == []


@pytest.mark.parametrize(
    ("exceptions", "problem"),
    [
        ("{'ban-drop-column': ''}", "exception-without-reason"),
        (
            "{'ban-drop-column': 'No release since 0.1 reads it.', 'ban-drop-table': 'No release reads it.'}",
            "unused-exception",
        ),
    ],
)
def test_an_exception_without_a_reason_or_a_use_is_refused(
    exceptions: str, problem: str, tmp_path: Path
) -> None:
    migration = _migration(tmp_path, BAD["ban-drop-column"], more=f"EXCEPTIONS = {exceptions}")

    [line] = departures(read_migration(migration))

    assert problem in line


def test_a_migration_that_must_look_into_the_database_is_refused(tmp_path: Path) -> None:
    path = _migration(tmp_path, [])
    path.write_text(
        "from alembic import op\ndef upgrade():\n    op.get_bind().execute('SELECT 1').fetchall()\n"
    )

    with pytest.raises(NotRenderedError, match="Write its statements as text"):
        read_migration(path)


def test_the_rules_are_for_every_migration_that_came_after_them() -> None:
    every = set(SERVICES.glob("*/migrations/[0-9]*.py"))
    before = {path for path in every if int(path.name[:4]) <= BEFORE_THE_RULES[path.parents[1].name]}

    assert set(new_migrations()) == every - before
    assert len(before) == sum(BEFORE_THE_RULES.values())
