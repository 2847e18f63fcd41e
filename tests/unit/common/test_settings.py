from pathlib import Path

import pytest
from pydantic import ValidationError

from services.common.settings import Settings, SettingsError, load_settings


class Example(Settings):
    database_url: str
    limit: int = 10
    log_file: str = ""


def test_settings_come_from_variables_with_the_prefix_alone() -> None:
    environment = {"X_DATABASE_URL": "postgresql://a", "X_LIMIT": "5", "OTHER_LIMIT": "7", "HOME": "/"}

    settings = load_settings(Example, prefix="X_", environment=environment)

    assert settings == Example(database_url="postgresql://a", limit=5)


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://secret\n", encoding="utf-8")

    settings = load_settings(Example, prefix="X_", environment={"X_DATABASE_URL_FILE": str(secret)})

    assert settings.database_url == "postgresql://secret"


def test_a_setting_whose_own_name_ends_in_file_is_not_read_from_one() -> None:
    environment = {"X_DATABASE_URL": "postgresql://a", "X_LOG_FILE": "/no/such/file"}

    settings = load_settings(Example, prefix="X_", environment=environment)

    assert settings.log_file == "/no/such/file"


def test_all_problems_are_told_together_each_on_its_line() -> None:
    environment = {"X_LIMIT": "many", "X_TYPO": "1", "X_DATABASE_URL_FILE": "/no/such/file"}

    with pytest.raises(SettingsError) as refused:
        load_settings(Example, prefix="X_", environment=environment)

    lines = str(refused.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "X_DATABASE_URL",
        "X_DATABASE_URL_FILE",
        "X_LIMIT",
        "X_TYPO",
    ]
    assert "X_DATABASE_URL: required" in lines
    assert "X_TYPO: unknown setting" in lines
    assert "X_DATABASE_URL_FILE: cannot read /no/such/file: No such file or directory" in lines


def test_settings_cannot_be_changed() -> None:
    settings = Example(database_url="postgresql://a")

    with pytest.raises(ValidationError):
        settings.limit = 1
