"""The TypeScript client against the real edge: a program of a customer's, run by Node, on both contracts."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from PIL import Image

from clients.typescript.build import NODE, built
from tests.e2e.local_stack import Stack
from tests.e2e.thief import thief
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_program_of_a_customer_works_and_lost_answers_make_no_second_job(
    stack: Stack, tmp_path: Path
) -> None:
    package = await asyncio.to_thread(built)
    Image.new("RGB", (640, 640), "red").save(tmp_path / "red.png")
    environment = {
        "BASE_URL": stack.edge,
        "PICTURE": str(tmp_path / "red.png"),
        "FOLDER": str(tmp_path),
    }
    async with AsyncExitStack() as open_until_the_end:
        thieves = []
        for contract in ("seedancee2", "nextapi"):
            account = await asyncio.to_thread(stack.create_account, f"node-{contract}", contract=contract)
            proxy, url = await open_until_the_end.enter_async_context(thief(stack.edge, 2))
            thieves.append(proxy)
            environment |= {f"KEY_{contract}": account.keys["test"], f"PROXY_{contract}": url}
        program = await asyncio.create_subprocess_exec(
            NODE,
            "--test",
            "tests/live.mjs",
            cwd=package,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
        )
        printed, _ = await asyncio.wait_for(program.communicate(), PATIENCE_SECONDS)

    assert program.returncode == 0, printed.decode()[-10_000:]
    for proxy in thieves:
        assert [answer.partition(b"\r\n")[0] for answer in proxy.stolen] == [b"HTTP/1.1 200 OK"] * 2
