"""Whoever starts a process as another user gives up its groups with it."""

import ast
from pathlib import Path

import services

SOURCES = sorted(Path(services.__path__[0]).rglob("*.py"))


def _keywords(source: Path) -> list[tuple[int, set[str]]]:
    calls = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call)]
    return [(call.lineno, {keyword.arg for keyword in call.keywords if keyword.arg}) for call in calls]


def test_no_process_is_started_as_another_user_without_its_groups() -> None:
    started = ("stdin", "stdout", "stderr", "cwd", "env", "check", "capture_output")
    half = [
        f"{source.name}:{line}"
        for source in SOURCES
        for line, given in _keywords(source)
        if "user" in given and given & set(started) and not {"group", "extra_groups"} <= given
    ]

    assert half == []
