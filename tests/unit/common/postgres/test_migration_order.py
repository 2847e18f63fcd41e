import re
from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[4] / "services"


@pytest.mark.parametrize("service", ["billing", "jobs", "webhooks"])
def test_migrations_follow_one_another_by_their_numbers(service: str) -> None:
    files = sorted((SERVICES / service / "migrations").glob("[0-9]*.py"))
    found = [
        dict(re.findall(r'^(revision|down_revision) = "?(\w+)"?', file.read_text(), re.MULTILINE))
        for file in files
    ]

    numbers = [f"{number:04d}" for number in range(1, len(files) + 1)]
    assert [file.name[:4] for file in files] == numbers
    assert [each["revision"] for each in found] == numbers
    assert [each["down_revision"] for each in found] == ["None", *numbers[:-1]]
