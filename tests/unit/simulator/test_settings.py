import pytest

from services.common.settings import load_settings
from services.simulator.__main__ import main
from services.simulator.settings import PREFIX, Mode, SimulatorSettings


def test_settings_come_from_prefixed_names() -> None:
    environment = {
        "SIMULATOR_API_KEY": "key",
        "SIMULATOR_MODE": "instant",
        "SIMULATOR_LATENCY_SECONDS": "1.5",
        "PATH": "ignored",
    }

    settings = load_settings(SimulatorSettings, prefix=PREFIX, environment=environment)

    assert settings.api_key.get_secret_value() == "key"
    assert (settings.mode, settings.latency_seconds, settings.host) == (Mode.INSTANT, 1.5, "127.0.0.1")
    assert "key" not in repr(settings.api_key)


def test_the_process_names_each_wrong_setting(capsys: pytest.CaptureFixture[str]) -> None:
    status = main({"SIMULATOR_PORT": "many", "SIMULATOR_TYPO": "1"})

    assert status == 2
    assert {line.partition(":")[0] for line in capsys.readouterr().err.splitlines()} == {
        "SIMULATOR_API_KEY",
        "SIMULATOR_PORT",
        "SIMULATOR_TYPO",
    }
