"""The published vectors in lines, for drivers in languages whose library reads no JSON."""

import json
from collections.abc import Iterator
from typing import Any

from tests.webhook_vectors import FILE

CASES: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["cases"]


def lines() -> Iterator[str]:
    """Yields each case in its order: now, secrets by commas, the body in base64, and `name: value` of each header."""
    for case in CASES:
        headers = (f"{name}: {value}" for name, value in case["headers"].items())
        yield "\t".join((str(case["now"]), ",".join(case["secrets"]), case["body_base64"], *headers))


def compare(printed: str) -> None:
    """Raises AssertionError with the names of cases for which a driver did not print the published result."""
    results = printed.splitlines()
    wrong = [
        f"{case['name']}: {result}"
        for case, result in zip(CASES, results, strict=True)
        if result != case["result"]
    ]
    assert not wrong, wrong
