"""The commands of docs/postgresql.md, run as they stand."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from services.devstack import postgres
from tests.conftest import PASSWORD
from tests.drills.nodes import Node
from tests.patience import PATIENCE_SECONDS

PAGE = Path(__file__).parents[2] / "docs" / "postgresql.md"
_BLOCK = re.compile(r"^```sh\n# ([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> dict[str, str]:
    """Returns the shell blocks of the page by their first line, which says what they are for."""
    return dict(_BLOCK.findall(PAGE.read_text(encoding="utf-8")))


def archive_settings(archive: Path) -> str:
    """Returns the settings of the page that archive into a folder."""
    [found] = re.findall(r"^```\n# postgresql.conf\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(found).replace("/archive/", f"{archive}/")


def run_beside(node: Node, name: str, **variables: str | Path) -> None:
    """Runs a block of the page where a node is or will be, as the user of PostgreSQL."""
    _run(
        name,
        {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(node.port),
            "PGUSER": postgres.SUPERUSER,
            "PGPASSWORD": PASSWORD,
            **{variable: str(value) for variable, value in variables.items()},
        },
        folder_of_programs=postgres.binary("psql").parent,
        user=postgres.process_user(),
    )


def run_as_operator(name: str, *, data: Path, **variables: str) -> None:
    """Runs a block of the page that has commands of `reelgate`."""
    folder = Path(sys.executable).parent
    _run(
        name,
        {"REELGATE_DATA": str(data), "REELGATE_ACTOR": "drill", **variables},
        folder_of_programs=folder,
        user=None,
    )


def _run(name: str, variables: Mapping[str, str], *, folder_of_programs: Path, user: str | None) -> None:
    path = f"{folder_of_programs}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", blocks()[name]],
        **postgres.privileges_of(user),
        env={**os.environ, **variables, "PATH": path},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
