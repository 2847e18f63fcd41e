"""Ports that no customer reaches, for other services and operators. A caller that is on no list is refused."""

from collections.abc import Mapping, Sequence

from services.common.rpc.bounds import bounded
from services.common.rpc.exactness import exact
from services.common.rpc.interceptors import Middleware, errors_mapped, logged
from services.common.rpc.server import AddServicer, Port
from services.common.rpc.validation import validated
from services.common.settings import ServiceSettings, SettingsError, is_loopback
from services.common.tls.files import TlsError, TlsFolder
from services.common.tls.peers import admitted


def inner_tls(settings: ServiceSettings, *addresses: str) -> TlsFolder | None:
    """Returns what protects the inner ports at `addresses`, and the channels to other services.

    None: TLS was waived, which is allowed on loopback only. Raises SettingsError, whose names have no prefix.
    """
    if settings.plaintext_internal:
        _check_waived(settings, addresses)
        return None
    if settings.tls_folder is None:
        raise SettingsError(
            "TLS_FOLDER: required: a folder with tls.crt, tls.key and ca.crt. "
            "To try something on this machine, set PLAINTEXT_INTERNAL=true instead"
        )
    folder = TlsFolder(settings.tls_folder)
    try:
        folder.read()
    except TlsError as error:
        raise SettingsError(f"TLS_FOLDER: {error}") from error
    return folder


def inner_port(
    address: str,
    services: Sequence[tuple[str, AddServicer, tuple[str, ...]]],
    *,
    tls: TlsFolder | None,
    reflection: bool,
) -> Port:
    """Returns a port on which each service admits the identities listed with it. Without TLS it admits everyone."""
    return Port(
        address=address,
        services=[(name, add) for name, add, _ in services],
        middleware=_middleware(
            None if tls is None else {name: identities for name, _, identities in services}
        ),
        reflection=reflection,
        tls=tls,
    )


def _check_waived(settings: ServiceSettings, addresses: Sequence[str]) -> None:
    if settings.tls_folder is not None:
        raise SettingsError("PLAINTEXT_INTERNAL: cannot be combined with TLS_FOLDER; set one of them")
    for address in addresses:
        if not is_loopback(address):
            raise SettingsError(
                f"PLAINTEXT_INTERNAL: works on loopback only, and {address} is not on loopback; set TLS_FOLDER instead"
            )


def _middleware(access: Mapping[str, tuple[str, ...]] | None) -> tuple[Middleware, ...]:
    if access is None:
        return (logged, errors_mapped, bounded, exact({}), validated)
    return (logged, errors_mapped, admitted(access), bounded, exact({}), validated)
