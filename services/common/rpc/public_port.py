"""Ports that customers call."""

from collections.abc import Mapping, Sequence

from services.common.auth.authentication import KeyCache, authenticated
from services.common.idempotency.interceptor import idempotent
from services.common.idempotency.store import SqlIdempotencyKeys
from services.common.rate_limit.limiter import Limiter, limited
from services.common.rpc.blanks import without_blanks
from services.common.rpc.bounds import bounded
from services.common.rpc.durations import WAIT_SECONDS_MAX
from services.common.rpc.exactness import exact
from services.common.rpc.interceptors import Middleware, errors_mapped, logged
from services.common.rpc.overload import Entrance, entered, unless_full
from services.common.rpc.server import CONCURRENT_CALLS_MAX, PUBLIC_REQUEST_BYTES_MAX, AddServicer, Port
from services.common.rpc.validation import validated


def build_public_port(
    address: str,
    services: Sequence[tuple[str, AddServicer]],
    *,
    access: Mapping[str, frozenset[str]],
    keys: KeyCache,
    limiter: Limiter,
    idempotency_keys: SqlIdempotencyKeys | None,
    reflection: bool,
    entrance: Entrance | None = None,
    calls_max: int = CONCURRENT_CALLS_MAX,
    call_seconds_max: float = WAIT_SECONDS_MAX,
) -> Port:
    """Returns a port that serves callers with a valid key, as often as the key may call.

    `access` is that of `authenticated`. `idempotency_keys` is None where the services only read. Creations go
    through `entrance`, if there is one.
    """
    return Port(
        address=address,
        request_bytes_max=PUBLIC_REQUEST_BYTES_MAX,
        services=services,
        middleware=_middleware(
            access, keys=keys, limiter=limiter, idempotency_keys=idempotency_keys, entrance=entrance
        ),
        reflection=reflection,
        calls_max=calls_max,
        call_seconds_max=call_seconds_max,
    )


def _middleware(
    access: Mapping[str, frozenset[str]],
    *,
    keys: KeyCache,
    limiter: Limiter,
    idempotency_keys: SqlIdempotencyKeys | None,
    entrance: Entrance | None,
) -> tuple[Middleware, ...]:
    """Returns it outermost first: who calls is settled before the request is read, and its size before its content."""
    return (
        logged,
        errors_mapped,
        *(() if entrance is None else (unless_full(entrance),)),
        authenticated(keys, access),
        limited(limiter, access),
        *(() if entrance is None else (entered(entrance),)),
        bounded,
        exact(access),
        without_blanks,
        *(() if idempotency_keys is None else (idempotent(idempotency_keys, access),)),
        validated,
    )
