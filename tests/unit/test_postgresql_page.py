"""docs/postgresql.md names commands that exist, and the settings that the manifests have."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from services.cli.app import app
from services.devstack import postgres

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "postgresql.md").read_text(encoding="utf-8")
SHELL = "\n".join(re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
CODE = SHELL + "\n".join(re.findall(r"(?<!`)`([^`\n]+)`", PAGE))
OF_POSTGRES = sorted(
    set(re.findall(r"\b(pg_(?:basebackup|ctl|dump|restore|verifybackup|rewind)|psql|createdb)\b", CODE))
)
OF_SYSTEM = sorted(set(re.findall(r"^\s*(cp|cat|touch|sleep)\b", SHELL, re.MULTILINE)))
OF_REELGATE = sorted(set(re.findall(r"^reelgate ((?:[a-z]+(?:-[a-z]+)* ?)+)", SHELL, re.MULTILINE)))
MODULES = sorted(set(re.findall(r"python -m ([\w.]+) migrate", CODE)))
TARGETS = sorted(set(re.findall(r"\bmake ([a-z-]+)", CODE)))


def cluster_of(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_the_page_has_commands_of_each_kind() -> None:
    assert [len(kind) > 0 for kind in (OF_POSTGRES, OF_SYSTEM, OF_REELGATE, MODULES, TARGETS)] == [True] * 5


@pytest.mark.parametrize("program", OF_POSTGRES)
def test_every_program_of_postgresql_is_there(program: str) -> None:
    assert postgres.binary(program).is_file()


@pytest.mark.parametrize("program", OF_SYSTEM)
def test_every_program_of_the_system_is_there(program: str) -> None:
    assert shutil.which(program)


@pytest.mark.parametrize("command", OF_REELGATE)
def test_every_command_of_reelgate_is_there(command: str) -> None:
    assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0


@pytest.mark.parametrize("module", MODULES)
def test_every_module_is_there(module: str) -> None:
    assert find_spec(module)


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_is_there(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_settings_of_the_cluster_are_those_of_the_manifest() -> None:
    [shown] = re.findall(
        r"^```yaml\n# of CloudNativePG's Cluster\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
    )
    spec = cluster_of((ROOT / "deploy/k8s/components/cnpg/cluster.yaml").read_text(encoding="utf-8"))["spec"]
    synchronous = spec["postgresql"]["synchronous"]

    assert cluster_of(shown) == {
        "instances": spec["instances"],
        "postgresql": {"synchronous": synchronous},
    }
