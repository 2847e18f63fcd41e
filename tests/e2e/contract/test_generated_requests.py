"""Whatever is asked that the OpenAPI documents allow or forbid, the answer is one that they show.

Schemathesis makes up requests from the documents: valid ones, ones beside every bound, and chains along their links.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from protos.generate import DOCUMENTS, ROOT
from tests.e2e.contract.generated.rendering import for_generation
from tests.e2e.local_stack import OFTEN, Account, Stack

TOOLS = ROOT / "build" / "tools" / "python" / "bin"
HERE = Path(__file__).with_name("generated")
SEED = "1"
EXAMPLES = os.environ.get("EXAMPLES", "3")
"""How many requests of each kind are made up for an operation, besides those at every bound."""
OPERATIONS = {"seedancee2": (), "nextapi": ("--include-tag", "Videos")}
"""The account's own pages are the same in both, so one contract is asked for them."""
SECONDS_MAX = 900


def tool(name: str) -> Path:
    assert (TOOLS / name).is_file(), "run `make tools` first"
    return TOOLS / name


@pytest.mark.parametrize("contract", OPERATIONS)
def test_a_document_is_openapi(contract: str) -> None:
    path = ROOT / "gen" / DOCUMENTS / f"{contract}.json"

    done = subprocess.run(
        [tool("openapi-spec-validator"), path],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("contract", OPERATIONS)
def test_every_answer_to_a_generated_request_is_documented(
    stack: Stack, tmp_path: Path, contract: str
) -> None:
    account = Account(**stack.answer("account", "create", "generated", "--contract", contract, *OFTEN))
    document = json.loads((ROOT / "gen" / DOCUMENTS / f"{contract}.json").read_text(encoding="utf-8"))
    rendered = tmp_path / f"{contract}.json"
    rendered.write_text(json.dumps(for_generation(document)), encoding="utf-8")

    key = f"Authorization: Bearer {account.keys['test']}"
    run = ("run", str(rendered), "--url", stack.edge, "-H", key, "--seed", SEED, "-n", EXAMPLES)
    done = subprocess.run(
        [tool("schemathesis"), "--config-file", HERE / "schemathesis.toml", *run, *OPERATIONS[contract]],
        # It keeps there what it found, and asks for that again.
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
