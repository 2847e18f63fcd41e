"""What operators do with routes and credentials."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from services.common.audit.note import AuditNote
from services.common.errors import Reason, ServiceError
from services.jobs.domain.catalogue import SIMULATED, Catalogue
from services.jobs.domain.routes import Credential, Route
from services.jobs.store.routes import AttemptRecord, CredentialReading, RouteReading, SqlRoutes

ATTEMPTS_MAX = 200
"""Of a job that are shown."""


class RouteState(StrEnum):
    """Whether a route gets jobs."""

    READY = "ready"
    DISABLED = "disabled"
    OPEN = "open"
    PROBING = "probing"
    WITHOUT_CREDENTIAL = "without_credential"


@dataclass(frozen=True, kw_only=True)
class RouteView:
    """A route and how it does."""

    route: Route
    state: RouteState
    reading: RouteReading


@dataclass(frozen=True, kw_only=True)
class CredentialView:
    """A credential and whether it is in use."""

    credential: Credential
    key_in_use: str
    is_out: bool
    reading: CredentialReading


@dataclass(frozen=True, kw_only=True)
class RouteOperations:
    """Routes and credentials of the catalogue in force, for operators."""

    catalogue: Callable[[], Catalogue]
    states: SqlRoutes
    notify: Callable[[], None]
    """Wakes the workers."""

    async def routes(self) -> list[RouteView]:
        """Returns all routes, the simulator included, by name."""
        routes = self._routes()
        readings = await self.states.routes({name: route.credential for name, route in routes.items()})
        out = {view.credential.name for view in await self.credentials() if view.is_out}
        return [
            RouteView(
                route=routes[reading.name],
                state=_state(reading, is_out=routes[reading.name].credential in out),
                reading=reading,
            )
            for reading in readings
        ]

    async def credentials(self) -> list[CredentialView]:
        """Returns all credentials, by name."""
        credentials = self.catalogue().credentials
        views = []
        for reading in await self.states.credentials(tuple(credentials)):
            credential = credentials[reading.name]
            key = reading.key_name if reading.key_name in credential.keys else credential.keys[0]
            views.append(
                CredentialView(
                    credential=credential, key_in_use=key, is_out=reading.out_key_name == key, reading=reading
                )
            )
        return views

    async def disable(self, name: str, *, note: AuditNote) -> None:
        """Gives a route no new jobs; those it has go on. Refuses with INVALID_FIELD."""
        _one_of(self._routes(), name, field="name", what="route")
        await self.states.disable(name, note=note)

    async def enable(self, name: str, *, note: AuditNote) -> None:
        """Gives a route jobs again, as one that never failed. Refuses with INVALID_FIELD."""
        _one_of(self._routes(), name, field="name", what="route")
        await self.states.enable(name, note=note)
        self.notify()

    async def rotate(self, name: str, key: str, *, note: AuditNote) -> None:
        """Has new tasks ordered with another key; those under way keep theirs. Refuses with INVALID_FIELD."""
        credentials = self.catalogue().credentials
        _one_of(credentials, name, field="name", what="credential")
        _one_of(credentials[name].keys, key, field="key", what=f"key of credential {name}")
        await self.states.rotate(name, key, note=note)
        self.notify()

    async def put_back(self, name: str, *, note: AuditNote) -> None:
        """Puts a credential back into use. Refuses with INVALID_FIELD."""
        _one_of(self.catalogue().credentials, name, field="name", what="credential")
        await self.states.put_back(name, note=note)
        self.notify()

    async def attempts(self, job_id: str) -> list[AttemptRecord]:
        """Returns the last ATTEMPTS_MAX attempts at a job, in their order."""
        return (await self.states.attempts(job_id, limit=ATTEMPTS_MAX))[::-1]

    def _routes(self) -> dict[str, Route]:
        simulated = SIMULATED.route
        return {simulated.name: simulated, **self.catalogue().routes}


def _state(reading: RouteReading, *, is_out: bool) -> RouteState:
    if reading.is_disabled:
        return RouteState.DISABLED
    if is_out:
        return RouteState.WITHOUT_CREDENTIAL
    if reading.is_open:
        return RouteState.OPEN
    return RouteState.PROBING if reading.is_half_open else RouteState.READY


def _one_of(known: Iterable[str], name: str, *, field: str, what: str) -> None:
    names = sorted(known)
    if name not in names:
        shown = ", ".join(names) or "none"
        raise ServiceError(
            Reason.INVALID_FIELD, f'{field}: there is no {what} "{name}". There are: {shown}.', field=field
        )
