"""Every block of code in the guides works, word for word, against a running stack."""

import os
import sys
from pathlib import Path

import pytest

from tests.e2e.guides.blocks import agrees, blocks_of
from tests.e2e.guides.running import ROOT, BlockError, open_page
from tests.e2e.local_stack import Stack

PAGES = sorted([*(ROOT / "docs" / "guides").glob("*.md"), *(ROOT / "clients").glob("*/README.md")])


@pytest.fixture(scope="module")
def environment(stack: Stack) -> dict[str, str]:
    """What blocks find in their environment: a test key of either contract, and the secrets of their webhooks."""
    first, second = stack.create_account("guides"), stack.create_account("guides", contract="nextapi")
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LANG": "C.UTF-8",
        "REELGATE_BASE_URL": stack.edge,
        "REELGATE_GRPC_TARGET": stack.status()["grpc"]["jobs"]["public"],
        "REELGATE_API_KEY": first.keys["test"],
        "REELGATE_NEXTAPI_KEY": second.keys["test"],
        "REELGATE_WEBHOOK_SECRET": first.webhook_secrets["test"],
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_every_block_of_a_guide_works(page: Path, environment: dict[str, str], tmp_path: Path) -> None:
    printed = ""
    with open_page(tmp_path, {**environment, "HOME": str(tmp_path)}) as opened:
        for block in blocks_of(page):
            if block.is_output:
                assert agrees(block.text, printed), f"{page.name}:{block.line}: printed was\n{printed}"
            elif block.runs:
                try:
                    printed = opened.run(block)
                except BlockError as error:
                    raise AssertionError(f"{page.name}, {error}") from None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_every_guide_has_a_block_that_runs(page: Path) -> None:
    assert any(block.runs for block in blocks_of(page))
