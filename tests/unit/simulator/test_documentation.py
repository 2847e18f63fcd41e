import re
from collections.abc import Sequence
from pathlib import Path

from services.jobs.operations.magic_prompts import NO_CREDITS, REFUSED_PROMPT
from services.simulator.scenarios import SCENARIOS
from services.simulator.settings import PREFIX, SimulatorSettings
from services.simulator.sizes import RESOLUTIONS, SIZES

PAGE = Path(__file__).parents[3] / "docs" / "simulator.md"
API_PAGE = PAGE.with_name("api.md")


def table(*rows: Sequence[str]) -> str:
    rule = ["---"] * len(rows[0])
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))


def tables_of(page: str) -> list[str]:
    blocks = page.split("\n\n")
    return [block.strip() for block in blocks if block.startswith("|")]


def test_the_page_lists_every_magic_prompt_and_no_other() -> None:
    rows = [
        (f"`[simulate: {row.directive}{' N' * bool(row.number)}]`", str(row.number or "-"), row.sentence)
        for row in SCENARIOS
    ]

    assert table(("directive", "N", "outcome"), *rows) in tables_of(PAGE.read_text())


def test_the_page_lists_every_frame_size() -> None:
    rows = [(ratio, *(f"{width} x {height}" for width, height in sizes)) for ratio, sizes in SIZES.items()]

    assert table(("ratio", *RESOLUTIONS), *rows) in tables_of(PAGE.read_text())


def test_the_page_names_every_setting() -> None:
    page = PAGE.read_text()

    assert [name for name in SimulatorSettings.model_fields if f"`{PREFIX}{name.upper()}`" not in page] == []


def test_customers_are_told_of_no_magic_prompt_that_there_is_not() -> None:
    known = {row.directive for row in SCENARIOS} | {NO_CREDITS, REFUSED_PROMPT}

    told = re.findall(r"\[simulate: ([a-z ]+?)(?: \d+)?\]", API_PAGE.read_text())

    assert set(told) <= known
    assert {NO_CREDITS, REFUSED_PROMPT} <= set(told)
