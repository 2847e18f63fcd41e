"""Patterns of Lua backtrack, and the edge has one thread: none may ever meet text whose length a sender chooses."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.edge.errors import LUA
from services.edge.render import render
from services.edge.settings import EdgeSettings

SOURCES = Path(__file__).parents[3] / "services"
CUT_AND_MATCHED = "cut:sub(1, HEAD_BYTES):match(pattern)"
PATTERN_CALL = re.compile(r"\b(?:gmatch|gsub|match)\b|\bfind\b(?!\([^()]*, 1, true\))")


def pattern_calls(source: str) -> list[str]:
    """Returns every line that runs a pattern over more than a cut: `find` is allowed as a plain search only."""
    code = [re.sub(r"--.*", "", line) for line in source.splitlines()]
    return [line.strip() for line in code if PATTERN_CALL.search(line.replace(CUT_AND_MATCHED, ""))]


def rendered_lua(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        if str(config.get("@type", "")).endswith(".lua.v3.Lua"):
            yield config["default_source_code"]["inline_string"]
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from rendered_lua(part)


def test_all_lua_that_envoy_runs_stands_in_files() -> None:
    files = {file.read_text(encoding="utf-8") for file in SOURCES.rglob("*.lua")}

    assert set(rendered_lua(render(EdgeSettings()))) == files


@pytest.mark.parametrize("file", sorted(SOURCES.rglob("*.lua")), ids=lambda file: str(file.name))
def test_a_pattern_only_ever_meets_a_cut(file: Path) -> None:
    source = file.read_text(encoding="utf-8")

    assert pattern_calls(source) == []
    assert "local HEAD_BYTES = 256\n" in source
    assert "local TAIL_BYTES = 64\n" in source


@pytest.mark.parametrize(
    "line",
    [
        'local a = text:match("^(.-): b$")',
        'for name in text:gmatch("[^&]+") do',
        'return json:gsub(",%s*$", "")',
        'if text:find("a.*b") then',
        'if text:find("a.*b", 1) then',
        "local run = string.match",
    ],
)
def test_a_pattern_over_anything_else_is_found(line: str) -> None:
    assert pattern_calls(LUA.read_text(encoding="utf-8") + line) == [line]
