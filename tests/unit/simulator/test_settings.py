from typing import Any

import pytest
from pydantic import ValidationError

from services.simulator.__main__ import main
from services.simulator.settings import Mode, SimulatorSettings


def problems(error: ValidationError) -> set[Any]:
    return {problem["loc"][0] for problem in error.errors()}


def test_settings_come_from_prefixed_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATOR_API_KEY", "key")
    monkeypatch.setenv("SIMULATOR_MODE", "instant")
    monkeypatch.setenv("SIMULATOR_LATENCY_SECONDS", "1.5")

    settings = SimulatorSettings.model_validate({})

    assert settings.api_key.get_secret_value() == "key"
    assert (settings.mode, settings.latency_seconds, settings.host) == (Mode.INSTANT, 1.5, "127.0.0.1")
    assert "key" not in repr(settings.api_key)


def test_all_problems_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIMULATOR_API_KEY", raising=False)
    monkeypatch.setenv("SIMULATOR_PORT", "many")
    monkeypatch.setenv("SIMULATOR_TYPO", "1")

    with pytest.raises(ValidationError) as caught:
        SimulatorSettings.model_validate({})

    assert problems(caught.value) == {"api_key", "port", "SIMULATOR_TYPO"}


def test_the_process_names_each_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIMULATOR_API_KEY", "key")
    monkeypatch.setenv("SIMULATOR_PORT", "many")
    monkeypatch.setenv("SIMULATOR_TYPO", "1")

    status = main()

    assert status == 2
    assert {line.partition(":")[0] for line in capsys.readouterr().err.splitlines()} == {
        "SIMULATOR_PORT",
        "SIMULATOR_TYPO",
    }
