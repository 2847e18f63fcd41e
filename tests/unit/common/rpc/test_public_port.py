"""What surrounds public methods, in which order: who calls is settled first, and what a request may hold next."""

import ast
from pathlib import Path
from typing import cast

import services
from services.common.auth.authentication import KeyCache
from services.common.idempotency.store import SqlIdempotencyKeys
from services.common.rate_limit.limiter import Limiter
from services.common.rpc.overload import Entrance
from services.common.rpc.public_port import build_public_port
from services.common.rpc.server import PUBLIC_REQUEST_BYTES_MAX, Port

ROOT = Path(services.__file__).parent
READING = [
    "logged",
    "errors_mapped",
    "authenticated",
    "limited",
    "bounded",
    "exact",
    "without_blanks",
    "validated",
]
WRITING = [*READING[:-1], "idempotent", "validated"]
CROWDED = [*READING[:2], "unless_full", *READING[2:4], "entered", *READING[4:]]


def _port(idempotency_keys: SqlIdempotencyKeys | None, *, entrance: Entrance | None = None) -> Port:
    return build_public_port(
        "127.0.0.1:0",
        (),
        access={},
        keys=cast("KeyCache", None),
        limiter=cast("Limiter", None),
        idempotency_keys=idempotency_keys,
        reflection=False,
        entrance=entrance,
    )


def _names(port: Port) -> list[str]:
    return [getattr(each, "__qualname__", "?").partition(".")[0] for each in port.middleware]


def _callers(name: str) -> set[str]:
    sources = {path: path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py")}
    return {
        path.relative_to(ROOT).parts[0]
        for path, source in sources.items()
        if f"{name}(" in source
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name
    }


def test_a_request_is_bounded_once_it_is_known_who_calls_and_before_anything_reads_it() -> None:
    assert _names(_port(None)) == READING
    assert _names(_port(SqlIdempotencyKeys(cast("object", None)))) == WRITING  # type: ignore[arg-type]


def test_a_crowd_is_refused_before_anybody_is_looked_up_and_let_in_by_account_before_anything_is_read() -> (
    None
):
    assert _names(_port(None, entrance=Entrance())) == CROWDED


def test_a_public_port_reads_no_more_than_customers_need() -> None:
    assert _port(None).request_bytes_max == PUBLIC_REQUEST_BYTES_MAX


def test_every_service_has_a_public_port_and_none_builds_its_own() -> None:
    assert _callers("build_public_port") == {"billing", "jobs", "webhooks"}
    assert _callers("Port") == {"common"}
