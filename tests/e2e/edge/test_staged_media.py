from dataclasses import astuple
from pathlib import Path

import pytest

from services.media.names import staged_names
from tests.e2e.edge.client import assert_not_found, send
from tests.e2e.edge_process import RunningEdge

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("written", ["{}", "./{}", "%2e{}", "x/../{}", "//{}"])
async def test_a_result_that_is_not_published_is_not_served(
    edge: RunningEdge, media_folder: Path, written: str
) -> None:
    for name in astuple(staged_names("vid_1", secret="token")):
        file = media_folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"unpaid")
        shown = name.removeprefix(".") if "%2e" in written else name

        assert_not_found(await send(edge, "GET", f"/media/{written.format(shown)}"))
