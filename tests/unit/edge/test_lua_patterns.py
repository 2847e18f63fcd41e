"""Patterns of Lua backtrack, and the edge has one thread: none may ever meet text whose length a sender chooses."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.edge import quiet, strict, trailing
from services.edge.descriptor import read_descriptor
from services.edge.errors import LUA
from services.edge.render import render
from services.edge.settings import DESCRIPTOR, EdgeSettings

SOURCES = Path(__file__).parents[3] / "services"
CUT_AND_MATCHED = "cut:sub(1, HEAD_BYTES):match(pattern)"
CLASS = r"(?:\[(?:\\.|%.|[^\]])+\]|%[a-z]|\\.|[\w/.])"
STRAIGHT = re.compile(rf"\[(?:\\.|%.|[^\]])+\]|\^(?:{CLASS}\??)*(?:{CLASS}[*+])?")
LITERAL = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'")
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
    reader = strict.source(read_descriptor(DESCRIPTOR))
    files = "".join(file.read_text(encoding="utf-8") for file in strict.SOURCES)

    ran = set(rendered_lua(render(EdgeSettings())))
    assert ran == {LUA.read_text(encoding="utf-8"), reader, trailing.source(), quiet.source()}
    assert reader.endswith(files)
    assert trailing.source().endswith(trailing.LUA.read_text(encoding="utf-8"))
    assert quiet.source().endswith(quiet.LUA.read_text(encoding="utf-8"))
    assert {LUA, quiet.LUA, trailing.LUA, *strict.SOURCES} == set(SOURCES.rglob("*.lua"))


def test_a_pattern_only_ever_meets_a_cut() -> None:
    source = LUA.read_text(encoding="utf-8")

    assert pattern_calls(source) == []
    assert pattern_calls(trailing.source()) == []
    assert pattern_calls(quiet.source()) == []
    assert "local HEAD_BYTES = 256\n" in source
    assert "local TAIL_BYTES = 64\n" in source


def backtracking(source: str) -> list[str]:
    """Returns every pattern that can meet a byte twice: one is a single class, or begins where the search does and repeats
    one class at most."""
    return [found for found in patterns(source) if not STRAIGHT.fullmatch(found)]


def patterns(source: str) -> list[str]:
    """Returns every pattern of the source that is not a plain text."""
    code = "\n".join(re.sub(r"\s--.*", "", line) for line in source.splitlines())
    calls = re.findall(r"\b(?:find|gsub|match|gmatch)\b(?! ?[,=])(.*)", code)
    return [
        literal.group(1) or literal.group(2)
        for call in calls
        if not call.count(", true)")
        for literal in [LITERAL.search(call)]
        if literal is not None
    ]


@pytest.mark.parametrize("file", strict.SOURCES, ids=lambda file: str(file.name))
def test_what_reads_a_body_never_goes_back(file: Path) -> None:
    assert backtracking(file.read_text(encoding="utf-8")) == []


def test_every_pattern_of_what_reads_a_body_is_looked_at() -> None:
    found = [pattern for file in strict.SOURCES for pattern in patterns(file.read_text(encoding="utf-8"))]

    assert len(found) > 10


@pytest.mark.parametrize("pattern", ["a.*b", "^%s*%d*x", "[a-z]+x", "%d+$", "^(.-):"])
def test_a_pattern_that_goes_back_is_found(pattern: str) -> None:
    assert backtracking(f'local _, last = find(text, "{pattern}", at)') == [pattern]


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
