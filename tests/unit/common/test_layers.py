"""What surrounds public methods, in which order: who calls is told first, and what a request may hold next."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import services

ROOT = Path(services.__file__).parent
ORDER = [
    "logged",
    "errors_mapped",
    "authenticated",
    "limited",
    "bounded",
    "exact",
    "without_blanks",
    "idempotent",
    "validated",
]
"""Those that a port has stand in this order. Only billing has none that is `idempotent`: it only reads there."""


def _ports() -> Iterator[tuple[str, dict[str, ast.expr]]]:
    for path in sorted([*ROOT.glob("*/wiring.py"), *ROOT.glob("*/wiring/*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Port":
                given = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
                if ast.unparse(given["address"]) == "settings.public_address":
                    yield path.relative_to(ROOT).parts[0], given


def _names(layers: ast.expr) -> list[str]:
    assert isinstance(layers, ast.Tuple), ast.unparse(layers)
    return [getattr(each.func if isinstance(each, ast.Call) else each, "id", "?") for each in layers.elts]


PORTS = dict(_ports())


def test_every_service_has_a_public_port() -> None:
    assert set(PORTS) == {"billing", "jobs", "webhooks"}


@pytest.mark.parametrize("service", PORTS)
def test_a_request_is_bounded_once_it_is_known_who_calls_and_before_anything_reads_it(service: str) -> None:
    layers = _names(PORTS[service]["layers"])

    assert layers == [name for name in ORDER if name in layers]
    assert set(ORDER) - set(layers) <= {"idempotent"}


@pytest.mark.parametrize("service", PORTS)
def test_a_public_port_reads_no_more_than_customers_need(service: str) -> None:
    assert ast.unparse(PORTS[service]["request_bytes_max"]) == "PUBLIC_REQUEST_BYTES_MAX"
