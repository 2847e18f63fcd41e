"""The SQL of a migration, without a database."""

import importlib.util
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from alembic.migration import MigrationContext
from alembic.operations import Operations

EXCEPTIONS = "EXCEPTIONS"
"""Name of what a migration may define: the rules that it breaks, and why that hurts nobody."""


class NotRenderedError(Exception):
    """The migration needs a database to say what it does."""


@dataclass(frozen=True, kw_only=True)
class Migration:
    """A migration as it will be executed."""

    name: str
    """`jobs/0012_traces`."""
    sql: str
    exceptions: Mapping[str, str]
    """Reasons by rule."""


def read_migration(path: Path) -> Migration:
    """Returns what a file of `services/<service>/migrations` will execute. Raises NotRenderedError."""
    name = f"{path.parents[1].name}/{path.stem}"
    module = _loaded(path)
    try:
        sql = _rendered(module)
    except Exception as error:
        raise NotRenderedError(
            f"{name}: does not say without a database what it executes ({error}). Write its statements as text."
        ) from error
    return Migration(name=name, sql=sql, exceptions=getattr(module, EXCEPTIONS, {}))


def _loaded(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"migration_{path.stem}", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _rendered(module: ModuleType) -> str:
    written = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written}
    )
    with Operations.context(context):
        module.upgrade()
    return f"BEGIN;\n{written.getvalue()}COMMIT;\n"
