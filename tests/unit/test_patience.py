"""Tests wait with one patience: a deadline of their own would depend on how busy the machine is."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]
APART = {"bench", "newcomer"}
"""What measures, and what a newcomer's machine is tried with."""
FILES = [path for path in sorted(TESTS.rglob("*.py")) if not APART & set(path.relative_to(TESTS).parts)]


def deadlines(source: str) -> list[int]:
    """Returns the lines with an `asyncio.timeout` or `wait_for` of so many seconds. At once is no deadline."""
    return [
        call.lineno
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in {"timeout", "timeout_at", "wait_for"}
        for value in (*call.args, *(word.value for word in call.keywords if word.arg == "timeout"))
        if isinstance(value, ast.Constant) and isinstance(value.value, int | float) and value.value
    ]


def test_no_test_waits_by_a_deadline_of_its_own() -> None:
    found = {str(path): lines for path in FILES if (lines := deadlines(path.read_text(encoding="utf-8")))}

    assert not found, f"wait PATIENCE_SECONDS of tests/patience.py: {found}"


def test_deadlines_are_seen() -> None:
    assert deadlines("asyncio.timeout(5)\nasyncio.wait_for(x, timeout=0.5)\nasyncio.timeout(0)") == [1, 2]
