"""A service of a test's own, with migrations of its own."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import services

MIGRATION = """
from alembic import op
revision, down_revision = "{number:04d}", {before}
def upgrade() -> None:
{body}
"""
TABLE = 'op.execute("CREATE TABLE things (name text, seen text)")'


def plant_service(
    monkeypatch: pytest.MonkeyPatch, folder: Path, bodies: Sequence[str], *, name: str = "planted"
) -> str:
    """Makes `services.<name>` with a migration for each body, a line or several. Returns its name."""
    migrations = folder / name / "migrations"
    migrations.mkdir(parents=True, exist_ok=True)
    (folder / name / "__init__.py").touch()
    for number, body in enumerate(bodies, start=1):
        text = MIGRATION.format(
            number=number,
            before=repr(f"{number - 1:04d}") if number > 1 else None,
            body="\n".join(f"    {line}" for line in body.splitlines()),
        )
        (migrations / f"{number:04d}_planted.py").write_text(text)
    monkeypatch.delitem(sys.modules, f"services.{name}", raising=False)
    monkeypatch.setattr(services, "__path__", [str(folder), *services.__path__])
    return name
