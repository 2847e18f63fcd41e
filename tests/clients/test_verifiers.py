"""The verifiers that customers copy into their programs agree with the published vectors, in every language."""

import importlib.util
import subprocess
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from clients.typescript.build import NODE, ROOT
from tests.clients.cases import CASES, compare, lines
from tests.patience import PATIENCE_SECONDS

VERIFIERS = ROOT / "clients" / "webhooks"
DRIVERS = Path(__file__).parent / "verifiers"
TOOLS = ROOT / "build" / "tools"


@pytest.fixture(scope="module")
def python_verifier() -> ModuleType:
    found = importlib.util.spec_from_file_location("verify", VERIFIERS / "verify.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_python(python_verifier: ModuleType) -> None:
    results = []
    for case in CASES:
        body, headers, secrets = b64decode(case["body_base64"]), case["headers"], case["secrets"]
        try:
            python_verifier.verify(body, headers, secrets, now=case["now"])
            results.append("valid")
        except python_verifier.SignatureError as refused:
            results.append(str(refused))

    compare("\n".join(results))


def test_javascript() -> None:
    compare(_printed(NODE, DRIVERS / "drive.mjs", VERIFIERS / "verify.js"))


def test_php() -> None:
    compare(
        _printed(NODE, DRIVERS / "php.mjs", TOOLS / "php", VERIFIERS / "verify.php", DRIVERS / "drive.php")
    )


def test_go(tmp_path: Path) -> None:
    [go] = TOOLS.glob("python/lib/python*/site-packages/go/bin/go")
    (tmp_path / "webhooks").mkdir()
    (tmp_path / "go.mod").write_text("module receiver\n\ngo 1.24\n", encoding="utf-8")
    for source, place in ((DRIVERS / "drive.go", "main.go"), (VERIFIERS / "verify.go", "webhooks/verify.go")):
        (tmp_path / place).write_bytes(source.read_bytes())
    offline = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOCACHE": str(ROOT / "build" / "go-cache")}

    printed = _printed(go, "run", ".", folder=tmp_path, environment={**offline, "HOME": str(tmp_path)})

    compare(printed)


def _printed(*command: str | Path, folder: Path = ROOT, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        input="\n".join(lines()) + "\n",
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
