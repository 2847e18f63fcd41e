from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reelgate_client.cli.app import app
from typer.testing import CliRunner

from tests.unit.clients.command_line.api import Api
from tests.unit.clients.python.service import running_service

KEY = "sk_seedancee2_test_0123456789abcdefghijklmn"
LIVE_KEY = "sk_seedancee2_live_0123456789abcdefghijklmn"
Command = Callable[..., "object"]


@pytest.fixture
def api() -> Iterator[Api]:
    with running_service() as service:
        api = Api(url=service.url)
        service.replies = [api.answer]
        yield api


@pytest.fixture
def environment(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the command line is told by variables: a folder of its own, the API, and a test key."""
    found = {
        "REELGATE_CONFIG": str(tmp_path / "config"),
        "REELGATE_BASE_URL": api.url,
        "REELGATE_API_KEY": KEY,
    }
    for name in ("REELGATE_PROFILE", "REELGATE_WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return found


@pytest.fixture
def command(environment: dict[str, str]) -> Callable[..., object]:
    """Returns what runs a command: words, and what stands on the standard input."""

    def run(*words: str, given: str | None = None) -> object:
        return CliRunner().invoke(app, list(words), input=given)

    return run
